"""Platforms as programs are lowered for them, and what there is here to compute on.

A program may be lowered for a platform that is not here, so only what computes asks for a device.
"""

from __future__ import annotations

from typing import Any

import jax

from jtconv.typing import Platform

# As JAX names them. What is none of these is "other", and gets XLA's plain operations.
PLATFORMS: tuple[Platform, ...] = ("cpu", "cuda", "rocm", "tpu")
GPUS = ("cuda", "rocm")


class NoDevice(RuntimeError):
    """JAX has no device to compute on; the message says which it was told to look for."""


def default() -> Any:
    """The device that computes where nothing else is said."""
    given = jax.config.jax_default_device  # type: ignore[attr-defined]
    if given is not None and not isinstance(given, str):
        return given
    try:
        return jax.devices(given)[0]
    except (RuntimeError, AssertionError) as error:
        wanted = jax.config.jax_platforms  # type: ignore[attr-defined]
        detail = f" ({error})" if str(error) else ""
        raise NoDevice(
            f"JAX found no device to compute on, where its platforms are {wanted!r}{detail}: "
            "unset JAX_PLATFORMS, or install what JAX needs for it."
        ) from None


def platform() -> str:
    """The platform of that device."""
    return platform_of(default())


def platform_of(device: Any) -> str:
    """The platform that programs for a device are lowered for."""
    name: str = device.platform
    if name == "gpu":
        return "rocm" if "rocm" in device.client.platform_version.lower() else "cuda"
    return name if name in PLATFORMS else "other"


def of_platform(name: str) -> Any:
    """The default device where it is of this platform; None where programs are for elsewhere."""
    try:
        device = default()
    except NoDevice:
        return None
    return device if platform_of(device) == name else None
