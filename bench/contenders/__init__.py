"""Who is measured: a name, and a function from a problem to its programs.

A contender gives one program per way it knows (torch: contiguous, channels last, ...), and the
best of them counts.  It raises ``Refused`` with the reason where it cannot do the problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec

from bench.contenders import equinox, flax, lax, ours, torch
from bench.contenders.setting import Setting
from bench.names import label
from bench.program import Program
from jtconv.algorithms import ALGORITHMS

Ways = dict[str, Callable[[], Program]]
Contender = Callable[[Setting], Ways]

PEERS: dict[str, Contender] = {
    "torch": torch.ways,
    "lax": lax.ways,
    "lax-adjoint": lax.adjoint_ways,
    "flax": flax.ways,
    "equinox": equinox.ways,
}
DEFAULT_PEERS = ("torch", "lax", "flax", "equinox")


def installed(peer: str) -> bool:
    """Whether the package behind a peer is there."""
    return peer.startswith("lax") or find_spec(peer) is not None


def ours_by_method(method: str) -> dict[str, Contender]:
    """jtconv with the methods named, commas between them, or with each where it is ``all``."""
    names: Iterable[str] = ("auto", *ALGORITHMS) if method == "all" else method.split(",")
    return {label(name): partial(ours.ways, method=name) for name in names}
