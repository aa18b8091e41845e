"""What is measured: jtconv and its peers, each a function from a problem to its programs.

An implementation gives one program per variant it knows (torch: contiguous, channels last, ...),
and the fastest of them counts.  It raises ``Refused`` with the reason where it cannot do a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec

from bench.implementations import lax, layers, ours, torch
from bench.problem import Problem
from bench.program import Variants
from jtconv.algorithms import ALGORITHMS

Implementation = Callable[[Problem], Variants]

PEERS: dict[str, Implementation] = {
    "torch": torch.variants,
    "lax": lax.dilated,
    "lax-adjoint": lax.adjoint,
    "flax": layers.flax,
    "equinox": layers.equinox,
}
DEFAULT_PEERS = ("torch", "lax", "flax", "equinox")


def installed(peer: str) -> bool:
    """Whether the package behind a peer is there."""
    return peer.startswith("lax") or find_spec(peer) is not None


def ours_by_method(method: str) -> dict[str, Implementation]:
    """jtconv with the methods named, commas between them, or with each where it is ``all``."""
    names: Iterable[str] = ("auto", *ALGORITHMS) if method == "all" else method.split(",")
    return {_column(name): partial(ours.variants, method=name) for name in names}


def _column(method: str) -> str:
    return "jtconv" if method == "auto" else f"jtconv[{method}]"


def select(method: str, peers: list[str]) -> tuple[dict[str, Implementation], list[str]]:
    """All implementations to measure, and the peers left out because they are not installed."""
    wanted = peers or list(DEFAULT_PEERS)
    wanted = {"none": [], "all": list(PEERS)}.get(wanted[0], wanted) if len(wanted) == 1 else wanted
    for peer in wanted:
        if peer not in PEERS:
            raise ValueError(
                f"--peer must be one of {', '.join((*PEERS, 'all', 'none'))}, got {peer!r}"
            )
    there = {peer: PEERS[peer] for peer in wanted if installed(peer)}
    return ours_by_method(method) | there, [peer for peer in wanted if peer not in there]
