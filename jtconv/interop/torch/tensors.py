"""A module's parameters as NumPy arrays, and back, to the bit."""

from __future__ import annotations

import copy
from typing import Any

import ml_dtypes
import numpy as np

from jtconv.interop.numpy_layer import expect


def parameter(module: Any, name: str, shape: tuple[int, ...]) -> Any:
    """A copy of a parameter's numbers, checked, or None where the module has none."""
    from torch.nn.parameter import is_lazy

    tensor = _computed(module, name)
    if tensor is None:
        return None
    if is_lazy(tensor):
        raise ValueError(f"module has no {name} yet, being lazy: run it on an input once.")
    array = numpy_of(tensor)
    expect(name, array, shape)
    return array


def _computed(module: Any, name: str) -> Any:
    """What a module computes with, also where a norm or a mask makes it anew on each call."""
    from torch.nn.utils import parametrize
    from torch.nn.utils.prune import BasePruningMethod
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            return hook.compute_weight(module)
        if isinstance(hook, SpectralNorm) and hook.name == name:
            return hook.compute_weight(module, do_power_iteration=False)
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hook.apply_mask(module)
    if parametrize.is_parametrized(module, name):
        # A copy at rest: a spectral norm in training moves on with each look at the weight.
        module = copy.deepcopy(module).eval()
    return getattr(module, name)


def numpy_of(tensor: Any) -> np.ndarray:
    """A copy of a tensor's numbers; bfloat16 goes by its bits, for NumPy itself has none."""
    import torch

    tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy()
    return tensor.numpy().copy()


def tensor_of(array: np.ndarray) -> Any:
    """A copy of an array's numbers."""
    import torch

    array = np.array(array, order="C")
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def fill(module: Any, **arrays: np.ndarray | None) -> Any:
    """The module with these parameters, in the dtypes that they have."""
    import torch

    for name, array in arrays.items():
        if array is not None:
            setattr(module, name, torch.nn.Parameter(tensor_of(array)))
    return module
