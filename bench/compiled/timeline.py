"""The operations of a TPU program in order, and how long they take by their cycles and bytes.

An operation takes the longer of its cycles and of its bytes at 81 % of the bandwidth, which is
what XLA's own cost model reckons with: both overlap in a loop that is pipelined.  Asynchronous
copies pass meanwhile, on the bandwidth that is left, and are waited for where they are due.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.compiled import hlo
from bench.compiled.hlo import Instruction
from bench.compiled.llo import Walk

if TYPE_CHECKING:
    from bench.compiled.tpu import Chip

REACHED = 0.81  # of the bandwidth

_NOTHING = ("parameter", "bitcast", "tuple", "get-tuple-element", "constant", "after-all")
_INNER = r"(?:body|to_apply|true_computation|false_computation)=%([\w.\-]+)"
_MOVES = ("transpose", "reshape", "pad", "slice", "reverse", "copy")


@dataclass(frozen=True)
class Operation:
    """One instruction that runs ``times`` times: cycles, bytes and microseconds of one run."""

    name: str
    opcode: str
    cycles: float
    bytes: float
    us: float
    times: int = 1
    lost: str = ""  # why its cycles are XLA's estimate


@dataclass
class Cost:
    """What a program takes: microseconds, and what it holds besides its arguments and results."""

    operations: list[Operation] = field(default_factory=list)
    us: float = 0.0
    temporary_bytes: int = 0
    text: str = ""
    multiply_adds: None = None  # not told apart from other work
    calls: None = None

    @property
    def cycles(self) -> float:
        """Of all operations."""
        return sum(o.cycles * o.times for o in self.operations)

    @property
    def bytes(self) -> float:
        """Moved to and from main memory."""
        return sum(o.bytes * o.times for o in self.operations)

    @property
    def count(self) -> int:
        """Operations launched, loops opened; copies in the background left out."""
        launched = [o for o in self.operations if not o.opcode.endswith(("-start", "-done"))]
        return sum(o.times for o in launched)

    @property
    def lost(self) -> int:
        """Operations whose cycles are XLA's estimate."""
        return sum(bool(o.lost) for o in self.operations)

    @property
    def moving_us(self) -> float:
        """Spent in operations that only move."""
        return sum(o.us * o.times for o in self.operations if o.name.startswith(_MOVES))


def cost(text: str, walks: dict[str, Walk], chip: Chip, temporary_bytes: int) -> Cost:
    """The cost of a program, given its text and a walk through each of its operations."""
    bodies, entry = hlo.computations(text)
    found = Cost(temporary_bytes=temporary_bytes, text=text)
    clock = _Clock(bodies, walks, chip, found)
    least = 0.0 if entry not in bodies else clock.run(bodies[entry], 1)
    found.us = max(least, found.bytes / clock.rate)
    return found


class _Clock:
    """Runs computations as they are scheduled."""

    def __init__(
        self, bodies: dict[str, list[Instruction]], walks: dict[str, Walk], chip: Chip, found: Cost
    ) -> None:
        self.bodies, self.walks, self.chip, self.found = bodies, walks, chip, found
        self.rate = REACHED * chip.bandwidth / 1e6  # bytes a microsecond

    def run(self, body: list[Instruction], times: int) -> float:
        """Microseconds of one run of a computation that runs ``times`` times in all."""
        shapes = {i.name: i.shape for i in body}
        now, queue = 0.0, _Queue(self.rate)
        for i in body:
            if i.opcode in _NOTHING:
                continue
            if i.opcode in ("while", "call", "conditional"):
                now += queue.wait(self._inner(i, times))
            elif i.opcode.endswith("-start"):
                moved = _copied_bytes(i.shape)
                if "cross_program_prefetch" not in i.rest:  # those ran in the program before
                    queue.outstanding[i.name] = moved
                self._note(i, 0, moved, 0.0, times)
            elif i.opcode.endswith("-done"):
                us = queue.finish(i.operands[0])
                now += us
                self._note(i, 0, 0, us, times)
            else:
                now += self._operation(i, shapes, queue, times)
        return now

    def _inner(self, i: Instruction, times: int) -> float:
        """A loop as often as it runs, and of branches the longest."""
        inner = re.findall(_INNER, i.rest)
        inner += hlo.names(i.attribute(r"branch_computations=\{([^}]*)\}") or "")
        trips = i.attribute(r'"known_trip_count":\{"n":"(\d+)"')
        n = int(trips) if trips and i.opcode == "while" else 1
        spent = [self.run(self.bodies[name], times * n) for name in inner if name in self.bodies]
        return max(spent, default=0.0) * n

    def _operation(
        self, i: Instruction, shapes: dict[str, str], queue: _Queue, times: int
    ) -> float:
        estimate = int(i.attribute(r'"estimated_cycles":"(\d+)"') or 0)
        walk = self.walks.get(i.name)
        moved = self._moved_bytes(i, shapes, walk)
        cycles = max(estimate, walk.cycles if walk else 0) if not walk or walk.lost else walk.cycles
        us = max(cycles / self.chip.clock * 1e6, moved / self.rate)
        lost = "no code was written" if not walk else walk.lost
        self._note(i, cycles, moved, us, times, lost if cycles else "")
        return queue.wait(us, moved)

    def _moved_bytes(self, i: Instruction, shapes: dict[str, str], walk: Walk | None) -> float:
        moved = hlo.moved_bytes(i, shapes, self.bodies)
        if walk and i.opcode == "custom-call":  # a kernel copies for itself
            moved = max(moved, walk.copied_bytes)
        return moved

    def _note(
        self, i: Instruction, cycles: float, moved: float, us: float, times: int, lost: str = ""
    ) -> None:
        self.found.operations.append(Operation(i.name, i.opcode, cycles, moved, us, times, lost))


class _Queue:
    """Copies in the background, first come first served, on the bandwidth that is left."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.outstanding: dict[str, float] = {}

    def wait(self, us: float, busy_bytes: float = 0.0) -> float:
        """Time passes."""
        spare = max(us * self.rate - busy_bytes, 0.0)
        for name in list(self.outstanding):
            step = min(spare, self.outstanding[name])
            spare, self.outstanding[name] = spare - step, self.outstanding[name] - step
        return us

    def finish(self, name: str) -> float:
        """Microseconds until this copy is done, and those before it."""
        left = 0.0
        while name in self.outstanding:
            left += self.outstanding.pop(next(iter(self.outstanding)))
        return left / self.rate


def _copied_bytes(shape: str) -> float:
    """A slice reads as much as it writes; either end may lie in the chip's own memory."""
    ends = hlo.arrays(shape.split(", u32")[0])
    sizes = [hlo.memory_bytes(re.sub(r"S\(\d\)", "", end)) for end in ends]
    return min(sizes, default=0.0) * min(2, sum("S(" not in end for end in ends))
