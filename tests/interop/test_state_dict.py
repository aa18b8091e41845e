"""One layer of a checkpoint: what torch computes with it, ours computes."""

from __future__ import annotations

import re
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jtconv
from tests.compare import assert_close

interop = jtconv.interop.torch
pytestmark = pytest.mark.peer("torch")


def module_of(rank: int, norm: str, **given: Any) -> Any:
    """A layer inside two others, its weight normed along an axis or not."""
    import torch

    layer = getattr(torch.nn, f"ConvTranspose{rank}d")(4, 6, 3, **given)
    if norm == "old":
        with pytest.warns(FutureWarning):
            layer = torch.nn.utils.weight_norm(layer, dim=1)
        layer.weight_g.data *= 2  # or the norm would change nothing
    elif norm == "new":
        layer = torch.nn.utils.parametrizations.weight_norm(layer)
        layer.parametrizations.weight.original0.data *= 2
    return layer, torch.nn.Sequential(torch.nn.Sequential(torch.nn.Tanh(), layer))


@pytest.mark.parametrize("as_numpy", [False, True])
@pytest.mark.parametrize("norm", ["none", "old", "new"])
@pytest.mark.parametrize(
    ("rank", "given"),
    [
        (1, {"stride": 2, "padding": 1, "output_padding": 1}),
        (2, {"stride": (2, 3), "groups": 2, "bias": False}),
        (3, {"dilation": 2}),
    ],
)
def test_one_layer_by_its_prefix(rank, given, norm, as_numpy, rng):
    import torch

    layer, whole = module_of(rank, norm, **given)
    kept: dict[str, Any] = whole.state_dict()
    if as_numpy:
        kept = {name: tensor.numpy() for name, tensor in kept.items()}
    arguments = {name: value for name, value in given.items() if name != "bias"}
    x = rng.normal(size=(2, 4, *(5, 4, 3)[:rank])).astype("float32")
    want = np.moveaxis(layer(torch.tensor(x)).detach().numpy(), 1, -1)
    for ours in (
        interop.from_state_dict(kept, "0.1", **arguments),
        interop.from_state_dict(layer.state_dict(), **arguments),
    ):
        assert_close(ours(np.moveaxis(x, 1, -1)), want, slack=4)
        assert (ours.bias is None) == (given.get("bias") is False)


def test_a_norm_over_all_and_of_halves(rng):
    direction = rng.normal(size=(4, 2, 5)).astype(ml_dtypes.bfloat16)
    kept = {"a.weight_g": np.asarray(3.0, ml_dtypes.bfloat16), "a.weight_v": direction}
    kernel = interop.from_state_dict(kept, "a.").kernel[...]
    assert kernel.dtype == jnp.bfloat16
    assert abs(float(jnp.linalg.norm(kernel.astype("float32"))) - 3) < 0.02


WRONG = {
    "prefix": (("up", {}), "no weight at prefix 'up'; it has one at 'b', 'ups.0'"),
    "rank": (("b", {}), "state_dict['b.weight'] must have 3 to 5 axes"),
    "groups": (("ups.0", {"groups": 3}), "groups must divide the 4 channels in, got 3"),
    "stride": (("ups.0", {"stride": 0}), "stride must be an int >= 1"),
    "bias": (("ups.0", {"groups": 2}), "state_dict['ups.0.bias'] must have shape (4,)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_name(name):
    weight = {"ups.0.weight_g": np.ones((4, 1, 1)), "ups.0.weight_v": np.ones((4, 2, 3))}
    kept = {**weight, "ups.0.bias": np.ones(2), "b.weight": np.ones((3, 3))}
    (prefix, given), message = WRONG[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        interop.from_state_dict(kept, prefix, **given)
    with pytest.raises(ValueError, match="along each axis, got"):
        interop.from_state_dict({**kept, "ups.0.weight_g": np.ones((3, 1, 1))}, "ups.0")


def test_a_whole_state_dict_is_shown_the_way():
    _, whole = module_of(1, "none")
    with pytest.raises(TypeError, match=r"from_state_dict\(state_dict, prefix, stride=\.\.\.\)"):
        interop.to_nnx(whole.state_dict())


def test_classes_of_ones_own(rng):
    import torch

    class Snake(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.alpha = torch.nn.Parameter(torch.full((1, 6, 1), 0.7))

        def forward(self, x):
            return x + torch.sin(self.alpha * x) ** 2 / self.alpha

    def snake(module: Snake) -> Any:
        alpha = jnp.asarray(module.alpha.detach().numpy()[0, :, 0])
        return lambda x: x + jnp.sin(alpha * x) ** 2 / alpha

    def refused(module: Snake) -> Any:
        raise ValueError("no alpha")

    whole = torch.nn.Sequential(torch.nn.ConvTranspose1d(4, 6, 3), torch.nn.Sequential(Snake()))
    x = rng.normal(size=(2, 4, 5)).astype("float32")
    want = np.moveaxis(whole(torch.tensor(x)).detach().numpy(), 1, -1)
    ours = interop.to_nnx(whole, own={Snake: snake})
    assert_close(ours(np.moveaxis(x, 1, -1)), want, slack=4)
    with pytest.raises(TypeError, match=r"module\[1\]\[0\]: .*Snake.* own=\{Snake: function\}"):
        interop.to_nnx(whole)
    with pytest.raises(ValueError, match=r"module\[1\]\[0\]: no alpha"):
        interop.to_nnx(whole, own={Snake: refused})
