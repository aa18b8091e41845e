"""A module's parameters as NumPy arrays, and back, to the bit."""

from __future__ import annotations

import copy
from typing import Any

import ml_dtypes
import numpy as np


def weight_of(module: Any) -> Any:
    """The weight a module computes with, also where a norm makes it anew on each call."""
    from torch.nn.parameter import is_lazy
    from torch.nn.utils import parametrize
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm):
            return hook.compute_weight(module)
        if isinstance(hook, SpectralNorm):
            return hook.compute_weight(module, do_power_iteration=False)
    if parametrize.is_parametrized(module, "weight"):
        # A copy at rest: a spectral norm in training moves on with each look at the weight.
        module = copy.deepcopy(module).eval()
    if is_lazy(module.weight):
        raise ValueError("module has no weight yet, being lazy: run it on an input once.")
    return module.weight


def numpy_of(tensor: Any) -> np.ndarray:
    """A copy of a tensor's numbers; bfloat16 goes by its bits, for NumPy itself has none."""
    import torch

    tensor = tensor.detach().cpu().contiguous()
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
