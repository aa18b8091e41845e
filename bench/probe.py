"""Whether a peer will ever finish, found out in a process that can be ended.

XLA:CPU turns some zero-inserted convolutions and most of their kernel gradients into a scalar
loop that runs for minutes, and a running program cannot be interrupted.  So a peer that may
hit it runs once in a child process first, which ends itself when its time is up.

    python -m bench.probe CASE SIZE DTYPE MODE PEER SECONDS
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading

import jax

from bench.cases import select
from bench.implementations import PEERS
from bench.problem import Data, Problem
from bench.summary import Cell

OVER_BUDGET = 3  # exit status of a child whose time was up
START_S = 90  # for imports, data and the compiler
RISKY_WORK = 3e9  # multiply-adds, zeros included: some seconds in the scalar loop
JAX_PEERS = ("lax", "lax-adjoint", "flax", "equinox")


def is_risky(problem: Problem, peer: str) -> bool:
    """Whether a JAX peer on a CPU might meet the scalar loop for long."""
    if peer not in JAX_PEERS or jax.default_backend() != "cpu":
        return False
    (_, w, y), case = problem.case.shapes(problem.data.size), problem.case
    inserted = math.prod(y) * math.prod(w[:-1])
    one_side = problem.mode in ("forward", "activated")
    return inserted > RISKY_WORK and (not one_side or case.rank > 2 or case.groups > 1)


def verdict(problem: Problem, peer: str, patience_s: float) -> Cell | None:
    """The cell of a peer that did not finish, or None if it did."""
    data = problem.data
    command = [sys.executable, "-m", "bench.probe", data.case.name, data.size, data.dtype]
    command += [problem.mode, peer, str(patience_s)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=START_S + patience_s)
    except subprocess.TimeoutExpired:
        return {"status": "failed", "reason": f"did not compile within {START_S} s"}
    if done.returncode == OVER_BUDGET:
        return {"status": "over_budget", "lower_bound_s": patience_s}
    return None


def _main(case: str, size: str, dtype: str, mode: str, peer: str, seconds: str) -> None:
    problem = Problem(Data(select([case], "full")[0], size, dtype), mode)  # type: ignore[arg-type]
    program = next(iter(PEERS[peer](problem).values()))()
    # os._exit from a timer, because the main thread sits inside XLA and gets no signal.
    timer = threading.Timer(float(seconds), os._exit, (OVER_BUDGET,))
    timer.daemon = True
    timer.start()
    program.wait(program.call(0))


if __name__ == "__main__":
    _main(*sys.argv[1:])
