"""What a product may be cut into: a small table, of which ``tune`` finds the best line."""

from __future__ import annotations

from typing import NamedTuple

PROCESSORS = 132  # of an H100 or H200; where one is at hand it is asked
MULTIPLIERS = 2  # warpgroups that multiply


class Tile(NamedTuple):
    """A product's rows for each warpgroup, its columns, and steps fetched ahead."""

    rows: int
    columns: int
    stages: int


# Sums of at most 128 numbers a thread, and as many steps as 227 KiB of shared memory hold.
TILES = {
    "128x128": Tile(128, 128, 3),
    "64x128": Tile(64, 128, 4),
    "64x256": Tile(64, 256, 3),
    "128x64": Tile(128, 64, 4),
    "64x64": Tile(64, 64, 6),
}
TALL, SHORT = "128x128", "64x128"
