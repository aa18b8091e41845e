"""From words on the command line to a list of problems and how to measure them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from bench.cases import Case, SizeName
from bench.contenders import DEFAULT_PEERS, PEERS, Contender, installed, ours_by_method
from bench.contenders.setting import Setting
from bench.data import ANSWERS, MODES, SIDES, Data

DTYPES = {"f32": ("float32",), "bf16": ("bfloat16",), "both": ("float32", "bfloat16")}
WHAT = {"both": MODES, "all": (*MODES, "activated"), "sides": SIDES}
WHAT |= {name: (name,) for name in ANSWERS}
# On an accelerator the argument sets together must be far larger than its cache.
FAR_BEYOND_CACHE = 200e6


@dataclass(frozen=True)
class Questions:
    """Every problem of a run, in order; the data of a case live only while it is measured."""

    cases: list[Case]
    size: SizeName
    dtypes: tuple[str, ...]
    modes: tuple[str, ...]
    torch_compile: bool = False

    def __len__(self) -> int:
        return len(self.cases) * len(self.dtypes) * len(self.modes)

    def __iter__(self) -> Iterator[Setting]:
        for case in self.cases:
            for dtype in self.dtypes:
                data = Data(case, self.size, dtype)
                for mode in self.modes:
                    yield self._setting(data, mode)

    def _setting(self, data: Data, mode: Any) -> Setting:
        if jax.default_backend() == "cpu":
            return Setting(data, mode, torch_compile=self.torch_compile)
        held = data.case.numbers(self.size) * jax.numpy.dtype(data.dtype).itemsize
        copies = int(np.clip(np.ceil(FAR_BEYOND_CACHE / held), 3, 16))
        return Setting(data, mode, copies, unroll=True, torch_compile=self.torch_compile)


def choice(name: str, given: str, allowed: Any) -> str:
    """``given``, if it is one of the words allowed."""
    if given not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {given!r}")
    return given


def size_for_device(given: str) -> SizeName:
    """``auto`` means the true sizes on an accelerator, the small ones on a CPU."""
    if choice("--size", given, ("small", "true", "auto")) != "auto":
        return given  # type: ignore[return-value]
    return "small" if jax.default_backend() == "cpu" else "true"


def contenders(method: str, peers: list[str]) -> tuple[dict[str, Contender], list[str]]:
    """Everybody who runs, and the peers that cannot because they are not installed."""
    wanted = [] if peers == ["none"] else list(PEERS) if peers == ["all"] else peers
    wanted = wanted if peers else list(DEFAULT_PEERS)
    for peer in wanted:
        choice("--peer", peer, (*PEERS, "all", "none"))
    there = {peer: PEERS[peer] for peer in wanted if installed(peer)}
    return ours_by_method(method) | there, [peer for peer in wanted if peer not in there]
