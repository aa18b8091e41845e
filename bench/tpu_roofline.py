"""What the TPU kernel should reach, estimated from its blocks; nothing here was measured.

    python -m bench.tpu_roofline

prints the table of ``bench/TPU.md``, where every column is explained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import jax.numpy as jnp

from bench.cases import Case, select
from jtconv.algorithms.pallas.tpu import layout
from jtconv.algorithms.pallas.tpu.blocks import Blocks, largest_blocks
from jtconv.problem.task import Task

LAYERS = (
    "dcgan4", "dcgan5", "unet1", "unet4", "stylegan2", "hifigan1", "hifigan3", "dac2",
    "nnunet3", "sam1", "vitdet2", "maskrcnn", "pose2",
)  # fmt: skip


@dataclass(frozen=True)
class Chip:
    """One core: bfloat16 multiply-adds and bytes of HBM a second, and the matrix unit's side."""

    name: str
    multiply_adds: float
    bandwidth: float
    side: int


CHIPS = (Chip("v5e", 98.5e12, 0.819e12, 128), Chip("v6e", 459e12, 1.64e12, 256))


@dataclass(frozen=True)
class Work:
    """What the kernel does for one layer forward, in bfloat16."""

    task: Task

    @classmethod
    def of(cls, case: Case) -> Work:
        """At its true size."""
        half = jnp.dtype("bfloat16")
        sizes = case.true[0], *case.channels
        return cls(Task("dgrad", case.geometry("true"), *sizes, half, half, "tpu"))

    @property
    def blocks(self) -> Blocks:
        """How it is cut up."""
        return largest_blocks(self.task) or Blocks((0,), 0, 0, 0)

    def products(self, side: int) -> int:
        """Multiply-adds of a matrix unit whose rows and columns come by the ``side``."""
        t, g = self.task, self.task.geometry
        rows = t.batch * math.prod(self.blocks.counts) * len(layout.shifts(g))
        lanes = layout.phase_count(g) * t.y_channels_per_group
        return rows * _up(t.x_channels_per_group, side) * _up(lanes, side)

    @property
    def kernel_bytes(self) -> int:
        """x with every block's halo, w once (for each block, if it comes in chunks), y once."""
        t, b = self.task, self.blocks
        g, programs = t.geometry, t.batch * b.steps
        others = math.prod(
            n + a.reach for n, a in zip(b.counts[1:], layout.subpixel_axes(g)[1:], strict=True)
        )
        channels, lanes = t.x_channels_per_group, layout.phase_count(g) * t.y_channels_per_group
        x = programs * b.window * others * channels
        w = len(layout.shifts(g)) * channels * lanes * (1 if b.chunk == channels else programs)
        y = t.batch * math.prod(b.counts) * lanes
        return 2 * (x + w + y)

    @property
    def around_bytes(self) -> int:
        """What XLA moves besides: x into its window, y out of its lanes unless that is free."""
        t = self.task
        x = t.batch * math.prod(t.geometry.x_size) * t.x_channels
        cropped = any(a.lo or a.y_size % a.stride for a in t.geometry)
        return 2 * (2 * x + (2 * t.y_elements if cropped or t.y_channels_per_group % 128 else 0))

    def seconds(self, chip: Chip) -> tuple[float, float, float]:
        """Of the floor, of the kernel, and of the kernel with what is around it."""
        t = self.task
        x = t.batch * math.prod(t.geometry.x_size) * t.x_channels
        moved = 2 * (x + t.w_elements + t.y_elements) / chip.bandwidth
        floor = max(t.multiply_adds / chip.multiply_adds, moved)
        compute = self.products(chip.side) / chip.multiply_adds
        kernel = max(compute, self.kernel_bytes / chip.bandwidth)
        return floor, kernel, kernel + self.around_bytes / chip.bandwidth


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def rows() -> Iterator[str]:
    """The table, in Markdown."""
    shown = " | ".join(f"{c.name} floor us | kernel | with XLA" for c in CHIPS)
    yield f"| layer | GMAC | MB | rows x chunk | {shown} |"
    yield "|---" * (4 + 3 * len(CHIPS)) + "|"
    for name in LAYERS:
        (case,) = select([name], "full")
        work = Work.of(case)
        times = " | ".join(
            f"{floor * 1e6:.1f} | {floor / kernel:.0%} | {floor / whole:.0%}"
            for floor, kernel, whole in (work.seconds(chip) for chip in CHIPS)
        )
        macs, moved = work.task.multiply_adds / 1e9, work.kernel_bytes / 1e6
        cut = f"{work.blocks.positions} x {work.blocks.chunk}"
        yield f"| {name} | {macs:.2f} | {moved:.1f} | {cut} | {times} |"


if __name__ == "__main__":
    print("\n".join(rows()))
