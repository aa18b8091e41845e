"""How many cycles the machine code of one TPU operation runs.

libtpu writes the final code of each operation as text, one bundle of instructions a line, and
every bundle takes a cycle.  Loops and branches hang on scalar registers only, so a walk that
computes the scalar instructions, and passes over all others, knows how often each bundle runs.
Where a product is issued before a matrix unit is free, the bundle waits.

A walk gives up (``lost``) where a branch hangs on something it does not know.
"""

from __future__ import annotations

import bisect
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Bundles with scalar work; past so many a walk gives up.
MOST = 400_000
# Bytes: what the code counts the sizes of copies in.
GRANULE = 32
# Bundles that are issued after a branch that is taken, if they hold nothing.
DELAY_SLOTS = 4

_BUNDLE = re.compile(r"\s*(0x[0-9a-f]+|0)\s+(?:[A-Z]{2})?\s*:")


def _signed(v: int) -> int:
    return (v + 2**31) % 2**32 - 2**31


def _compare(op: str, a: int, b: int) -> int:
    a, b = (a, b) if ".u32" in op else (_signed(a), _signed(b))
    return int(getattr(operator, op.split(".")[1])(a, b))


_SCALAR: dict[str, Callable[..., int]] = {
    "smov": lambda op, a: a,
    "pmov": lambda op, a: a,
    "pneg": lambda op, a: int(not a),
    "sadd": lambda op, a, b: _signed(a + b),
    "ssub": lambda op, a, b: _signed(a - b),
    "smul": lambda op, a, b: _signed(a * b),
    "sshll": lambda op, a, b: _signed(a << b),
    "sshrl": lambda op, a, b: (a & 0xFFFFFFFF) >> b,
    "sshra": lambda op, a, b: _signed(a) >> b,
    "sand": lambda op, a, b: _signed(a & b),
    "sor": lambda op, a, b: _signed(a | b),
    "sxor": lambda op, a, b: _signed(a ^ b),
    "smin": lambda op, a, b: min(_signed(a), _signed(b)),
    "smax": lambda op, a, b: max(_signed(a), _signed(b)),
    "scmp": _compare,
    "scalar_select": lambda op, p, a, b: a if p else b,
    "pnand": lambda op, a, b: int(not (a and b)),
    "pand": lambda op, a, b: int(bool(a and b)),
    "por": lambda op, a, b: int(bool(a or b)),
    "pxor": lambda op, a, b: int(bool(a) != bool(b)),
    "pnor": lambda op, a, b: int(not (a or b)),
}


class Code:
    """The bundles of one operation: scalar instructions parsed, products by their matrix unit."""

    def __init__(self, text: str) -> None:
        lines: list[str] = []
        for line in text.splitlines(keepends=True):
            if _BUNDLE.match(line):
                lines.append(line)
            elif lines:
                lines[-1] += line
        self.regions: dict[str, int] = {}
        self.bundles: list[list[tuple[Any, ...]]] = []
        for i, line in enumerate(lines):
            for number in re.findall(r"Start(?:/End empty)? region (\d+)", line):
                self.regions[number] = i
            body = re.sub(r"/\*.*?\*/", "", line[line.index("{") + 1 :], flags=re.S)
            parsed = map(_parsed, re.split(r";;|\n", body))
            self.bundles.append([instruction for instruction in parsed if instruction])
        self.units, self.products = _products(lines)


def _products(lines: list[str]) -> tuple[int, list[tuple[int, int, float]]]:
    """Matrix units, and of every product its bundle, its unit and the cycles that it takes there.

    An issue streams 16 rows of bfloat16 or 8 of float32; v6e takes two rows a cycle.  Products
    whose both operands are streamed, as in kernel gradients, take an unknown time: none is told.
    """
    fast = any(".mubr." in line for line in lines)
    if any("vmatmul.lmr" in line for line in lines):
        return 4, []
    found = []
    for i, line in enumerate(lines):
        for kind, unit in re.findall(r"= (vmatmul\.[a-z0-9.]+)\.mxu(\d)", line):
            rows = 16 if ".bf16" in kind else 8
            found.append((i, int(unit), rows / 2 if fast else rows))
    return 2 if fast else 4, found


def _parsed(text: str) -> tuple[Any, ...] | None:
    """A scalar instruction as a tuple that begins with what it does; None for all others."""
    text = text.strip().rstrip("}").strip()
    found = re.match(r"%(\w+) = ([\w.]+)(.*)", text)
    if not found:
        return None
    out, op, rest = found.groups()
    guard = re.search(r"\((!?)%(p?\d+_p\d+)\)", rest)
    predicate = (guard[2], guard[1] == "") if guard else None
    if op == "sbr.rel":
        taken, target = re.search(r"\((!?)%(\w+)\)", rest), re.search(r"\$region(\d+)", rest)
        condition = (taken[2], taken[1] == "") if taken else None
        return "branch", condition, target[1] if target else None
    if op.startswith("dma.") and not op.startswith("dma.done"):
        size = re.search(r"(?:%(\w+)|\b(\d+))(?=\s*,)", rest.partition(",")[2])
        counts = size and ("hbm" in op or "general" in op)
        return "copy", predicate, (size[1] or int(size[2])) if size and counts else 0
    slot = re.search(r"\[smem:\[(#allocation\w*_spill)\]\]", rest)
    if op == "sst" and slot:
        source = re.search(r"\]\]\s+%(\w+)", rest)
        return "store", predicate, slot[1], source[1] if source else None
    if op == "sld" and slot:
        return "load", predicate, out, slot[1]
    base = op.split(".")[0]
    if base in ("sphi", "pphi"):
        return "phi", None, out
    if out[0] not in "sp" or base not in _SCALAR:
        return ("unknown", None, out) if out[0] in "sp" else None
    return _computed(out, base, op, rest)


def _computed(out: str, base: str, op: str, rest: str) -> tuple[Any, ...]:
    guard = re.search(r"\((!?)%(\w+)(?:, %(\w+))?\)", rest)
    rest = rest.replace(guard[0], " ") if guard else rest
    found = re.finditer(r"%(\w+)|(?<![\w#\[])(-?(?:0x[0-9a-f]+|\d+))(?![\w\]])", rest)
    arguments = [a[1] if a[1] else int(a[2], 0) for a in found]
    predicate = (guard[2], guard[1] == "") if guard else None
    return "compute", predicate, out, base, op, arguments, guard[3] if guard else None


class Walk:
    """One run of the code: cycles with stalls, those that feed matrix units, bytes copied."""

    def __init__(self, code: Code) -> None:
        self.code, self.lost = code, ""
        self.cycles, self.fed_cycles, self.copied_bytes = 0, 0.0, 0
        self._places = [place for place, *_ in code.products]
        self._registers: dict[str, int | None] = {}
        self._free: dict[int, float] = {}
        self._stalled = 0.0
        self._run()

    @classmethod
    def of(cls, path: Path) -> Walk:
        """The walk through a file that libtpu wrote."""
        return cls(Code(path.read_text()))

    def _run(self) -> None:
        bundles, at, cycle, steps = self.code.bundles, 0, 0, 0
        ahead = self._next_scalar()
        while at < len(bundles) and not self.lost:
            jump = ahead[at]
            self._issue(at, min(jump + 1, len(bundles)), cycle)
            cycle, at, steps = cycle + jump - at, jump, steps + 1
            if at == len(bundles):
                break
            if steps > MOST:
                self.lost = "too long"
            target, delay = self._step(bundles[at]), 0
            while (
                target is not None and delay < DELAY_SLOTS and bundles[at + delay + 1 :][:1] == [[]]
            ):
                delay += 1
            self._issue(at + 1, at + delay + 1, cycle + 1)
            cycle, at = cycle + delay + 1, at + 1 if target is None else target
        self.cycles = int(cycle + self._stalled)

    def _next_scalar(self) -> list[int]:
        """For every bundle the first with scalar work from there on."""
        ahead = [len(self.code.bundles)]
        for i in reversed(range(len(self.code.bundles))):
            ahead.append(i if self.code.bundles[i] else ahead[-1])
        return ahead[:0:-1]

    def _issue(self, start: int, stop: int, cycle: float) -> None:
        """Products of bundles ``start`` to ``stop``, the first at ``cycle`` but for stalls."""
        at = bisect.bisect_left(self._places, start)
        while at < len(self._places) and self._places[at] < stop:
            place, unit, taken = self.code.products[at]
            now = cycle + place - start + self._stalled
            wait = max(self._free.get(unit, 0) - now, 0)
            self._stalled += wait
            self._free[unit] = now + wait + taken
            self.fed_cycles += taken / self.code.units
            at += 1

    def _step(self, bundle: list[tuple[Any, ...]]) -> int | None:
        """Run the scalar part of a bundle; where it branches to.  All read before any writes."""
        target: int | None = None
        writes: list[tuple[str, int | None]] = []
        for what, _, out, *_ in bundle:  # a phi reads the physical register that it is in
            if what == "phi":
                self._registers[out] = self._registers.get("@" + out.split("_")[-1])
        for what, predicate, *rest in bundle:
            holds = self._holds(predicate)
            if what == "branch":
                if holds is None:
                    self.lost = f"a branch on {predicate[0]} is not known"
                if holds and rest[0] in self.code.regions:
                    target = self.code.regions[rest[0]]
            elif what == "unknown":
                writes.append((rest[0], None))
            elif what == "compute":
                if holds is not False:
                    writes.append((rest[0], self._value(*rest[1:4]) if holds else None))
                elif rest[4]:
                    writes.append((rest[0], self._get(rest[4])))
            elif what == "copy" and holds is not False:
                size = self._get(rest[0])
                self.copied_bytes += size * GRANULE if size and 0 < size < 2**31 else 0
            elif what == "store" and holds is not False:
                writes.append((rest[0], self._get(rest[1])))
            elif what == "load" and holds is not False:
                writes.append((rest[0], self._registers.get(rest[1])))
        for name, value in writes:
            self._set(name, value)
        return target

    def _value(self, base: str, op: str, arguments: list[str | int]) -> int | None:
        values = [self._get(a) for a in arguments]
        try:
            return None if None in values else _SCALAR[base](op, *values)
        except TypeError:  # an instruction with other arguments than ours
            return None

    def _holds(self, predicate: tuple[str, bool] | None) -> bool | None:
        if predicate is None:
            return True
        value = self._get(predicate[0])
        return None if value is None else bool(value) == predicate[1]

    def _get(self, name: str | int | None) -> int | None:
        if name is None or isinstance(name, int):
            return name
        if name in self._registers:
            return self._registers[name]
        return self._registers.get("@" + name.split("_")[-1])

    def _set(self, name: str, value: int | None) -> None:
        self._registers[name] = value
        if not name.startswith("#"):
            self._registers["@" + name.split("_")[-1]] = value
