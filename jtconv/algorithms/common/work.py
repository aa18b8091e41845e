"""Work: what XLA:CPU does for an algorithm, counted, so that its time can be modelled.

A work is a table from a quantity's name to its amount: products, numbers moved, the runs they are
moved in, calls.  What an amount takes stands in `jtconv.dispatch.rates`, one line a quantity,
fitted to a sweep of measurements.  An algorithm says what it does; it knows no times.

Numbers are moved at the speed of the cache as long as they fit there, and fresh pages and main
memory cost several times as much, so what lies beyond is counted once more.
"""

from __future__ import annotations

from collections.abc import Mapping

Amount = int | float
Work = dict[str, Amount]

# Between these (bytes) an array grows out of the caches.
CACHE_BYTES, BEYOND_BYTES = 4 * 2**20, 16 * 2**20
NUMBER = 4  # bytes, of the accumulator

LANES = 16  # products that a vector unit takes at once

# A quantity that takes no time when it runs: expressions that XLA compiles one by one.
TERMS = "terms to compile"

CALL: Mapping[str, Amount] = {"calls": 1.0}


def total(*parts: Mapping[str, Amount]) -> Work:
    """Their sum."""
    work: Work = {}
    for part in parts:
        for name, amount in part.items():
            work[name] = work.get(name, 0) + amount
    return work


def times(part: Mapping[str, Amount], factor: Amount) -> Work:
    """The same so many times."""
    return {name: amount * factor for name, amount in part.items()}


def beyond_cache(size: Amount) -> Amount:
    """The share of an array of ``size`` bytes that is not in a cache when it is needed."""
    return min(max((size - CACHE_BYTES) / (BEYOND_BYTES - CACHE_BYTES), 0), 1)


def moved(how: str, numbers: Amount, run: Amount, held: Amount | None = None) -> Work:
    """``numbers`` moved in runs of ``run``; ``held`` are bytes in use meanwhile, if not theirs."""
    work = {how: numbers, f"{how}, runs": numbers / max(run, 1)}
    share = beyond_cache(NUMBER * numbers if held is None else held)
    return {**work, f"{how}, beyond cache": numbers * share} if share else work


def transposed(numbers: Amount) -> Work:
    """``numbers`` moved one by one."""
    share = beyond_cache(NUMBER * numbers)
    return {"transposed": numbers, "transposed, beyond cache": numbers * share}


def split_groups(numbers: Amount, channels: Amount) -> Work:
    """``numbers`` brought into an array for each group, in runs of ``channels``."""
    return moved("copied", numbers, channels) if channels >= LANES else transposed(numbers)


def product(
    groups: int, rows: Amount, depth: Amount, columns: Amount, sums_rows: bool = False
) -> Work:
    """A matrix product a group, ``[rows, depth] x [depth, columns]``.

    ``sums_rows`` tells that the left one is transposed, as in a kernel gradient.
    """
    what = ("grouped " if groups > 1 else "") + ("products over rows" if sums_rows else "products")
    lanes = columns if sums_rows else -(-columns // LANES) * LANES
    packed = sums_rows or rows > 8  # a product of few rows reads its right side as it is
    return {
        what: groups * rows * depth * lanes,
        "packed": groups * depth * columns * packed,
        "left sides": groups * rows * depth,
        "results": groups * rows * columns,
        "groups": groups if groups > 1 else 0,
    }
