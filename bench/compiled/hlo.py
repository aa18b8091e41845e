"""The text of a compiled program: its computations, and the bytes of memory that shapes take."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_BYTES = {
    "bf16": 2, "f16": 2, "f32": 4, "f64": 8, "s32": 4, "u32": 4, "s16": 2, "u16": 2, "s8": 1,
    "u8": 1, "pred": 1, "s4": 0.5, "u4": 0.5, "c64": 8, "c128": 16,
}  # fmt: skip
_HEAD = re.compile(r"(ENTRY )?%([\w.\-]+) \(.*\) -> .* \{$")
_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")


@dataclass(frozen=True)
class Instruction:
    """One line: ``%name = shape opcode(operands), attributes``."""

    name: str
    shape: str
    opcode: str
    rest: str

    @property
    def operands(self) -> list[str]:
        """Their names, each once."""
        return list(dict.fromkeys(names(self.rest.split("), ")[0])))

    def attribute(self, pattern: str) -> str | None:
        """What the group of ``pattern`` finds behind the operands."""
        found = re.search(pattern, self.rest)
        return found[1] if found else None


def names(text: str) -> list[str]:
    """Every name in it."""
    return re.findall(r"%([\w.\-]+)", text)


def computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """Every computation by its name, in the order it is scheduled in, and the entry's name."""
    bodies: dict[str, list[Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if head := _HEAD.match(line):
            current = bodies.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif current is not None and (found := _INSTRUCTION.match(line)):
            current.append(Instruction(*found.groups()))
    return bodies, entry


def sizes(shape: str) -> list[int]:
    """Of the axes of an array; of a tuple's, its first."""
    found = _ARRAY.search(shape)
    return [int(n) for n in found[2].split(",") if n] if found else []


def item_bytes(shape: str) -> float:
    """Of one number of it."""
    found = _ARRAY.search(shape)
    return _BYTES.get(found[1], 4) if found else 4


def arrays(shape: str) -> list[str]:
    """The arrays of a shape that may be a tuple, without the counters of asynchronous copies."""
    return [found[0] for found in _ARRAY.finditer(shape) if found[1] in _BYTES and found[2]]


def memory_bytes(shape: str) -> float:
    """Bytes of a shape or tuple in main memory, padded to tiles; ``S(1)`` lies nearer."""
    total = 0.0
    for dtype, dims, layout in _ARRAY.findall(shape):
        if dtype in _BYTES and "S(" not in layout:
            total += _padded(dims, layout) * _BYTES[dtype]
    return total


def _padded(dims: str, layout: str) -> int:
    sizes = [int(n) for n in dims.split(",") if n]
    order, _, rest = layout.partition(":")
    tile = re.search(r"T\((\d+(?:,\d+)*)\)", rest)
    steps = [int(n) for n in tile[1].split(",")] if tile else []
    for axis, step in zip((int(n) for n in order.split(",") if n), reversed(steps), strict=False):
        sizes[axis] = -(-sizes[axis] // step) * step
    return math.prod(sizes)


def read_bytes(fused: list[Instruction], number: int, shape: str) -> float:
    """Bytes that a fusion reads of one operand: less than all where it only takes slices."""
    whole = memory_bytes(shape)
    for parameter in fused:
        if parameter.opcode == "parameter" and parameter.rest.startswith(f"{number})"):
            users = [i for i in fused if parameter.name in names(i.rest)]
            if users and all(i.opcode in ("slice", "dynamic-slice") for i in users):
                return min(whole, sum(memory_bytes(i.shape) for i in users))
    return whole


def moved_bytes(
    i: Instruction, shapes: dict[str, str], bodies: dict[str, list[Instruction]]
) -> float:
    """Bytes that an instruction reads and writes, given the shapes of its operands."""
    fused = bodies.get(i.attribute(r"calls=%([\w.\-]+)") or "", [])
    read = [read_bytes(fused, n, shapes.get(o, "")) for n, o in enumerate(i.operands)]
    moved = memory_bytes(i.shape) + sum(read)
    if "dynamic-update-slice" in i.name and read:  # in place: only the slice is written
        others = sum(r for r in read if r < max(read))
        moved = min(moved, 2 * others + updated_bytes(fused))
    return moved


def updated_bytes(fused: list[Instruction]) -> float:
    """Bytes of what a fusion puts into a larger array in place."""
    shapes = {i.name: i.shape for i in fused}
    puts = [i.operands[1] for i in fused if i.opcode == "dynamic-update-slice"]
    return sum(memory_bytes(shapes.get(name, "")) for name in puts)
