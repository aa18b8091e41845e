"""``jtconv info``: the versions, the machine and the devices that results depend on."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Annotated, Any

import jax
import typer

import jtconv
from jtconv import devices

PACKAGES = (
    *("jax", "jaxlib", "numpy", "flax"),
    *("torch", "keras", "onnx", "onnxruntime", "dm-haiku", "equinox"),
)
EPILOG = """
**Examples**

- `jtconv info` — a line each, to put under a question or a bug report

- `jtconv info --json`
"""


def run(
    as_json: Annotated[bool, typer.Option("--json", help="Print it for programs.")] = False,
) -> None:
    """Tell the versions, the machine, and the devices that computations run on.

    `platform` is what methods are chosen for where a program does not say otherwise. Of other
    frameworks those are listed that are installed; none is imported.
    """
    facts = _facts()
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
        return
    for name, value in (facts.pop("versions") | facts).items():
        typer.echo(f"{name:<12} {', '.join(value) if isinstance(value, list) else value}")


def _facts() -> dict[str, Any]:
    installed = {str(found.name).lower(): found.version for found in distributions()}
    return {
        "versions": {
            "jtconv": jtconv.__version__,
            "python": platform.python_version(),
            **{name: installed[name] for name in PACKAGES if name in installed},
        },
        "machine": platform.platform(),
        "cpu": f"{_cpu()}, {os.cpu_count()} threads",
        **_devices(),
    }


def _devices() -> dict[str, Any]:
    """What JAX computes on; where that is nothing, why."""
    try:
        platform = devices.platform()
    except devices.NoDevice as error:
        return {"backend": "none", "platform": "none", "devices": [], "trouble": str(error)}
    return {
        "backend": jax.default_backend(),
        "platform": platform,
        "devices": [f"{device.id}: {device.device_kind}" for device in jax.devices()],
    }


def _cpu() -> str:
    """The processor's name: Linux keeps it in a file, where Python does not look."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
