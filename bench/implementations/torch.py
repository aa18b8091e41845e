"""PyTorch, in every layout it is fast in: the peer to beat.

Channels last for one axis means a 2-D layer of kernel 1 x k on one row, which torch runs with the
same kernels.  Weights and cotangents are laid out beforehand, as in a trained model.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from bench.problem import Mode, Problem
from bench.program import Array, Program, Refused, Variants

Function = Callable[..., dict[str, Any]]  # of x, w, b and g as keywords


def variants(problem: Problem) -> Variants:
    """Contiguous and channels last, compiled too where ``torch_compile``, graphs on a GPU."""
    import torch

    kinds = (TorchProgram, GraphProgram) if torch.cuda.is_available() else (TorchProgram,)
    compilations = (False, True) if problem.torch_compile else (False,)
    found: Variants = {}
    for layout, compiled, kind in product(("contiguous", "channels_last"), compilations, kinds):
        name = layout + " compiled" * compiled + " graph" * (kind is GraphProgram)
        found[name] = partial(kind, problem, layout, compiled)
    return found


class TorchProgram(Program):
    """``conv_transposeNd`` and autograd on tensors laid out once."""

    def __init__(self, problem: Problem, layout: str, compiled: bool) -> None:
        import torch

        self.torch, self.problem, self.case = torch, problem, problem.case
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.serial = self.device == "cpu"
        self.last = layout == "channels_last"
        self.as_2d = self.last and self.case.rank == 1
        self.sets = [self._tensors() for _ in range(problem.copies)]
        self.function = self._function()
        if compiled:
            self.function = torch.compile(self.function, dynamic=False)

    def call(self, turn: int) -> Any:
        """Run one problem (on a GPU: start it)."""
        return self.function(**self.sets[turn % len(self.sets)])

    def wait(self, outputs: Any) -> None:
        """Nothing on a CPU, where a call returns when it is done."""
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def answers(self, outputs: Any) -> dict[str, Array]:
        """The answers, channels last."""
        return {name: self._channels_last(name, tensor) for name, tensor in outputs.items()}

    def _tensors(self) -> dict[str, Any]:
        arrays = self.problem.data.arrays
        grouped = to_torch(arrays["w"], self.case.groups)
        first = {name: np.moveaxis(arrays[name], -1, 1) for name in "xg"}
        laid = first | {"w": grouped, "b": arrays["b"]}
        tensors = {name: self._tensor(name, array) for name, array in laid.items()}
        for name in "xwb" if self.problem.mode in ("training", "fprop", "wgrad") else "":
            tensors[name].requires_grad_()
        return tensors

    def _tensor(self, name: str, array: Array) -> Any:
        dtype = getattr(self.torch, self.problem.data.dtype)
        wide = np.ascontiguousarray(array.astype(np.float32))
        tensor = self.torch.from_numpy(wide).to(self.device, dtype)
        if name == "b" or not self.last:
            return tensor
        tensor = tensor.unsqueeze(2) if self.as_2d else tensor
        three = tensor.ndim == 5
        formats = self.torch.channels_last_3d if three else self.torch.channels_last
        return tensor.contiguous(memory_format=formats)

    def _channels_last(self, name: str, tensor: Any) -> Array:
        array: Array = tensor.detach().double().cpu().numpy()
        if name == "db":
            return array
        array = array[:, :, 0] if self.as_2d else array
        if name == "dw":
            return from_torch(array, self.case.groups)
        return np.moveaxis(array, 1, -1)

    def _function(self) -> Function:
        torch, mode = self.torch, self.problem.mode
        operator = self._operator()
        by = {"training": "xwb", "fprop": "x", "wgrad": "w"}.get(mode, "")
        if self.case.steps > 1 or mode in ("forward", "activated", "training", "dgrad"):
            return _by_autograd(torch, operator, by, mode, self.case.steps)
        return self._one_side(by)

    def _operator(self) -> Callable[..., Any]:
        case, rank = self.case, 2 if self.as_2d else self.case.rank
        function = getattr(self.torch.nn.functional, f"conv_transpose{rank}d")
        pick = self._per_axis
        options = {
            "stride": pick(case.stride, 1),
            "padding": pick(case.padding, 0),
            "output_padding": pick(case.output_padding, 0),
            "dilation": pick(case.dilation, 1),
            "groups": case.groups,
        }

        def operator(x: Any, w: Any, b: Any) -> Any:
            y = function(x, w, b, **options)
            return y[..., : y.shape[-1] - case.trim] if case.trim else y

        return operator

    def _per_axis(self, value: int, idle: int) -> tuple[int, ...]:
        return (idle, value) if self.as_2d else (value,) * self.case.rank

    def _one_side(self, by: str) -> Function:
        """One gradient alone, as autograd itself would ask for it."""
        case, pick = self.case, self._per_axis
        if case.trim:
            raise Refused("torch: a single side of a trimmed layer is not one call")
        options = (
            None,
            pick(case.stride, 1),
            pick(case.padding, 0),
            pick(case.dilation, 1),
            True,
            pick(case.output_padding, 0),
            case.groups,
            [name in by for name in "xwb"],
        )
        backward = self.torch.ops.aten.convolution_backward

        def side(x: Any, w: Any, b: Any, g: Any) -> dict[str, Any]:
            with self.torch.no_grad():
                dx, dw, _ = backward(g, x, w, *options)
            return {"dx": dx} if "x" in by else {"dw": dw}

        return side


class GraphProgram(TorchProgram):
    """The same, all argument sets recorded in one CUDA graph: no host between the kernels."""

    def __init__(self, problem: Problem, layout: str, compiled: bool) -> None:
        super().__init__(problem, layout, compiled)
        cuda, self.calls = self.torch.cuda, len(self.sets)
        # Capture wants everything warm, and warmed on a stream of its own.
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream):
            for _ in range(3):
                self._all()
        cuda.current_stream().wait_stream(stream)
        self.graph = cuda.CUDAGraph()
        with cuda.graph(self.graph):
            self.outputs = self._all()

    def _all(self) -> list[Any]:
        return [self.function(**one) for one in self.sets]

    def call(self, turn: int) -> Any:
        """Replay every problem."""
        self.graph.replay()
        return self.outputs[0]


def _by_autograd(torch: Any, operator: Any, by: str, mode: Mode, steps: int) -> Function:
    """Value and gradients; ``steps`` slices of the batch one after the other."""

    def function(x: Any, w: Any, b: Any, g: Any) -> dict[str, Any]:
        b = None if mode == "dgrad" else b
        with contextlib.nullcontext() if by else torch.no_grad():
            slices = x.chunk(steps) if steps > 1 else (x,)
            ys = [operator(one, w, b) for one in slices]
            y = torch.cat(ys) if steps > 1 else ys[0]
            y = torch.relu(y) if mode == "activated" else y
        inputs = {"x": x, "w": w, "b": b}
        gradients = torch.autograd.grad(y, [inputs[n] for n in by], g) if by else ()
        return {"y": y} | {f"d{n}": d for n, d in zip(by, gradients, strict=True)}

    return function


def to_torch(w: Array, groups: int) -> Array:
    """``(*k, C // g, O)`` to torch's ``(C, O // g, *k)``."""
    *kernel, channels_per_group, out = w.shape
    w = np.moveaxis(w.reshape(*kernel, channels_per_group, groups, out // groups), -2, -3)
    w = w.reshape(*kernel, groups * channels_per_group, out // groups)
    return np.moveaxis(w, (-2, -1), (0, 1))


def from_torch(w: Array, groups: int) -> Array:
    """The inverse."""
    w = np.moveaxis(w, (0, 1), (-2, -1))
    *kernel, channels, out = w.shape
    w = np.moveaxis(w.reshape(*kernel, groups, channels // groups, out), -3, -2)
    return w.reshape(*kernel, channels // groups, groups * out)
