"""The machine, the versions, and the limits that every row is held against."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

PACKAGES = ("jtconv", "jax", "jaxlib", "numpy", "torch", "flax", "equinox")


def describe() -> dict[str, Any]:
    """Everything needed to judge a number later."""
    device = jax.devices()[0]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "cpu": _cpu(),
        "threads": os.cpu_count(),
        "revision": _git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "jtconv", "bench")),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = [f for f in ("avx2", "avx512f", "amx_bf16") if f in facts.get("flags", "").split()]
    name = facts.get("model name", platform.processor())
    return f"{name}, family {facts.get('cpu family')} model {facts.get('model')}, {' '.join(flags)}"


def _git(*command: str) -> str:
    folder = Path(__file__).parent.parent
    done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True)
    return done.stdout.strip()


def set_precision(tf32: bool) -> bool:
    """Give every framework the same float32 on GPUs; whether that is TF32."""
    if jax.default_backend() == "cpu":
        return False
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "float32")
    if find_spec("torch"):
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
    return tf32


def limits(dtypes: tuple[str, ...]) -> dict[str, Any]:
    """Multiply-adds per second of XLA's own matmul, per dtype, and bytes per second of a copy."""
    rates = {dtype: _matmul_rate(dtype) for dtype in dtypes}
    return {"multiply_adds_per_s": rates, "bytes_per_s": _copy_rate()}


def faster(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Of two measurements of the limits, the best of each: a limit is what was ever seen."""
    rates, others = one["multiply_adds_per_s"], other["multiply_adds_per_s"]
    return {
        "multiply_adds_per_s": {dtype: max(rates[dtype], others[dtype]) for dtype in rates},
        "bytes_per_s": max(one["bytes_per_s"], other["bytes_per_s"]),
    }


def _matmul_rate(dtype: str) -> float:
    size = 2048 if jax.default_backend() == "cpu" else 8192
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    # Without float32 sums XLA:CPU of jax 0.10 would widen bfloat16 operands first.
    dot = jax.jit(lambda a, b: jnp.dot(a, b, preferred_element_type=jnp.float32))
    return size**3 / _best_time(dot, a, a)


def _copy_rate() -> float:
    """Read and written bytes of ``a + 1`` on an array far larger than any cache."""
    count = 2**26 if jax.default_backend() == "cpu" else 2**30
    a = jnp.zeros(count, jnp.float32)
    return 2 * a.nbytes / _best_time(jax.jit(lambda a: a + 1), a)


def _best_time(function: Any, *args: Any, rounds: int = 10) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(function(*args))
        times.append(time.perf_counter() - start)
    return min(times)
