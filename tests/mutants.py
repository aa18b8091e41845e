"""Are the tables worth anything?  Break the package on purpose and see them fail.

    python -m tests.mutants

runs each table of tests in a process of its own with one fault put into one place, the entry
through which every primitive reaches its algorithm, and prints what noticed.  A table that stays
green under a mutant that it should notice is itself at fault, and the exit status says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp

from jtconv.algorithms import ALGORITHMS
from jtconv.dispatch import primitives
from jtconv.problem.geometry import Geometry

SIDES = ("dgrad", "fprop", "wgrad")
# Operands of each side and where its kernel is: in, or out.
ROLES = {"dgrad": "xw", "fprop": "yw", "wgrad": "xy"}
TABLES = {
    "value": ("tests/laws/test_value.py", "test_conv_transpose"),
    "adjoint": ("tests/laws/test_adjoint.py", "test_conv_is_the_adjoint"),
    "derivative": ("tests/laws/test_derivatives.py", "test_first_order"),
    "torch": ("tests/laws/test_peer_torch.py", "test_sweep"),
}
# A fault in all three sides alike is still a trilinear form: no adjoint can tell.
BLIND = {"adjoint"}


def flipped(side: Any, role: str) -> Any:
    """The side with its kernel flipped."""

    def flip(a: Any) -> Any:
        return jnp.flip(a, range(a.ndim - 2))

    def mutant(a: Any, b: Any, task: Any) -> Any:
        if role == "wgrad":
            return flip(side(a, b, task))
        return side(a, flip(b), task)

    return mutant


def shifted(side: Any, role: str) -> Any:
    """The side with one more cropped in front of the first axis, and one less behind."""

    def mutant(a: Any, b: Any, task: Any) -> Any:
        first, *rest = task.geometry.axes
        axes = (replace(first, lo=first.lo + 1), *rest)
        return side(a, b, replace(task, geometry=Geometry(axes, task.geometry.groups)))

    return mutant


def swapped(side: Any, role: str) -> Any:
    """The side with the first operand's channels in the opposite order."""
    return lambda a, b, task: side(a[..., ::-1], b, task)


FAULTS = {"kernel_flipped": flipped, "lo_off_by_one": shifted, "channels_swapped": swapped}
# Each fault in the one side a table is about, and in all three at once.
WHERE = {"value": "dgrad", "adjoint": "dgrad", "derivative": "wgrad", "torch": "fprop"}


def apply(mutant: str) -> None:
    """Put ``fault:side,side`` into this process; conftest does so where JTCONV_MUTANT says."""
    fault, sides = mutant.split(":")
    mutants: dict[str, Any] = {
        name: SimpleNamespace(
            **{
                side: FAULTS[fault](getattr(algorithm, side), side)
                if side in sides.split(",")
                else getattr(algorithm, side)
                for side in SIDES
            }
        )
        for name, algorithm in ALGORITHMS.items()
    }
    vars(primitives)["ALGORITHMS"] = mutants


def notices(table: str, mutant: str | None) -> bool:
    """Whether the table fails, by its own assertions, with this fault in the package."""
    file, test = TABLES[table]
    environment = {**os.environ, "JTCONV_MUTANT": mutant or "", "JTCONV_RAN": ""}
    # In one process: several that stop at their first failure end as if interrupted.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-q",
        "-x",
        "--tb=short",
        file,
        "-k",
        test,
    ]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode == 1 and "AssertionError: off by" in run.stdout:
        return True
    if run.returncode != 0:
        raise RuntimeError(f"{table} under {mutant} did not run:\n{run.stdout}{run.stderr}")
    return False


def trials() -> list[tuple[str, str]]:
    """Every table with every fault it must notice."""
    pairs = []
    for table, side in WHERE.items():
        for fault in FAULTS:
            pairs.append((table, f"{fault}:{side}"))
            if table not in BLIND:
                pairs.append((table, f"{fault}:{','.join(SIDES)}"))
    return pairs


def main() -> int:
    """Every trial, a line each."""
    unseen = 0
    for table, mutant in trials():
        seen = notices(table, mutant)
        unseen += not seen
        print(f"{table:12} {mutant:40} {'noticed' if seen else 'NOT NOTICED'}", flush=True)
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
