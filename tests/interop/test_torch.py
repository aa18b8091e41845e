"""torch: its functions on its own samples and by chance, its modules there and back."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import jtconv
from jtconv.interop import torch as interop
from tests.compare import assert_close
from tests.interop.compiled import compiled, moved, parameters
from tests.peers import Problem, problems

pytestmark = pytest.mark.peer("torch")

RANKS = (1, 2, 3)
DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "int64")
COUNTS = {"few": {1: 6, 2: 6, 3: 3}, "many": {1: 100, 2: 100, 3: 50}}


def by_us(rank: int):
    return getattr(interop, f"conv_transpose{rank}d")


def by_torch(rank: int):
    import torch

    return getattr(torch.nn.functional, f"conv_transpose{rank}d")


def as_jax(tensor):
    """A tensor as an array, bfloat16 too."""
    return jnp.asarray(interop.tensors.numpy_of(tensor))


def assert_same(got, want, slack=1.0) -> None:
    """Both sides round half floats, each in its own way."""
    assert str(got.dtype) == str(want.dtype).removeprefix("torch.")
    assert_close(got, as_jax(want), slack=slack)


def every_sample():
    """Each rank and dtype; the default run takes one in three of some."""
    quick = {(1, "bfloat16"), (2, "float32"), (3, "complex64")}
    pairs = [(rank, name, 1) for rank in RANKS for name in DTYPES]
    slow = [pytest.param(*pair, marks=pytest.mark.exhaustive) for pair in pairs]
    return [*slow, *((*pair, 3) for pair in sorted(quick))]


@pytest.mark.peer("expecttest")
@pytest.mark.parametrize(("rank", "dtype", "step"), every_sample())
def test_torchs_own_samples(rank, dtype, step):
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    operator = next(op for op in op_db if op.name == f"nn.functional.conv_transpose{rank}d")
    assert {str(known) for known in operator.dtypes} == {f"torch.{name}" for name in DTYPES}
    samples = list(operator.sample_inputs("cpu", getattr(torch, dtype)))
    assert len(samples) >= 10
    for sample in samples[::step]:
        arrays = [None if a is None else as_jax(a) for a in (sample.input, *sample.args)]
        want = by_torch(rank)(sample.input, *sample.args, **sample.kwargs)
        assert_same(compiled(by_us(rank), *arrays, **sample.kwargs), want, slack=2)


def swept() -> list:
    return [
        pytest.param(problem, id=f"{kind}-{rank}d-{number}", marks=marks)
        for kind, seed, marks in (("few", 3, ()), ("many", 4, pytest.mark.exhaustive))
        for rank in RANKS
        for number, problem in enumerate(problems(COUNTS[kind][rank], seed, rank))
    ]


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("p", swept())
def test_sweep(p: Problem, rng):
    import torch

    rank = len(p.input)
    x = torch.tensor(rng.normal(size=(p.batch, p.depth * p.groups, *p.input)))
    x = x[0] if p.batch == 1 else x  # unbatched, half of the time
    w = torch.tensor(rng.normal(size=(p.depth * p.groups, p.width, *p.kernel)))
    bias = torch.tensor(rng.normal(size=p.width * p.groups)) if p.bias else None
    names = ("stride", "padding", "output_padding", "groups", "dilation")
    rest = {name: getattr(p, name) for name in names}
    got = by_us(rank)(*(None if a is None else as_jax(a) for a in (x, w, bias)), **rest)
    assert_same(got, by_torch(rank)(x, w, bias, **rest))


@pytest.mark.usefixtures("in_numpy")
def test_a_tuple_of_one_is_for_every_axis(rng):
    x, w = tensor(rng.normal(size=(1, 2, 3, 4))), tensor(rng.normal(size=(2, 3, 2, 3)))
    rest: dict[str, Any] = {
        "stride": (3,),
        "padding": (1,),
        "output_padding": (2,),
        "dilation": (2,),
    }
    assert_same(interop.conv_transpose2d(as_jax(x), as_jax(w), **rest), by_torch(2)(x, w, **rest))


WRONG: dict[str, tuple[tuple, dict[str, Any], str]] = {
    "ranks": (((1, 2, 4, 4), (2, 3, 3, 3)), {"rank": 1}, "weight must have"),
    "an input of too few axes": (((2,), (2, 3, 3)), {}, "input must have 3 axes, or 2"),
    "channels": (((1, 3, 5), (2, 3, 3)), {}, "weight must have the 3 channels of input on axis"),
    "groups": (((1, 3, 5), (3, 3, 3)), {"groups": 2}, "groups must divide the 3 channels"),
    "a bias": (((1, 3, 5), (3, 2, 3), (3,)), {}, r"bias must have shape \(C_out,\) = \(2,\)"),
    "stride 0": (((1, 3, 5), (3, 2, 3)), {"stride": 0}, "stride must be an int >= 1, got 0"),
    "three strides": (((1, 3, 5), (3, 2, 3)), {"stride": (1, 2)}, "stride must be one int or 1"),
    "negative padding": (((1, 3, 5), (3, 2, 3)), {"padding": -1}, "padding must be an int >= 0"),
    "a name": (((1, 3, 5), (3, 2, 3)), {"padding": "same"}, "padding must be an int >= 0"),
    "output_padding": (
        ((1, 3, 5), (3, 2, 3)), {"stride": 2, "output_padding": 2}, r"output_padding\[0\] must be"
    ),
    "dilation 0": (((1, 3, 5), (3, 2, 3)), {"dilation": 0}, "dilation must be an int >= 1"),
    "nothing left": (((1, 3, 2), (3, 2, 2)), {"padding": 2}, "padding leaves no output"),
    "no cells": (((1, 3, 0), (3, 2, 2)), {}, "input must have no axis of size 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_torch_refuses_we_refuse(case):
    import torch

    shapes, keywords, message = WRONG[case]
    keywords = dict(keywords)
    rank = keywords.pop("rank", len(shapes[1]) - 2)
    with pytest.raises((RuntimeError, TypeError, ValueError)):
        by_torch(rank)(*map(torch.ones, shapes), **keywords)
    with pytest.raises((TypeError, ValueError), match=message):
        by_us(rank)(*map(jnp.ones, shapes), **keywords)


def test_dtypes_must_agree():
    import torch

    with pytest.raises(RuntimeError):
        torch.nn.functional.conv_transpose1d(torch.ones(1, 2, 3), torch.ones(2, 3, 3).double())
    with pytest.raises(TypeError, match=r"weight must have the dtype of input.*input\.astype"):
        interop.conv_transpose1d(jnp.ones((1, 2, 3), "float32"), jnp.ones((2, 3, 3), "float64"))


MODULES: dict[str, tuple[tuple, dict[str, Any]]] = {
    "plain 1d": ((1, 3, 5, 4), {}),
    "gan": ((2, 3, 5, 4), {"stride": 2, "padding": 1, "bias": False}),
    "grouped": ((2, 4, 6, (3, 2)), {"stride": (2, 3), "groups": 2, "output_padding": (1, 2)}),
    "dilated": ((1, 2, 3, 3), {"stride": 2, "dilation": 3, "output_padding": 2, "padding": 4}),
    "depthwise": ((2, 3, 6, 3), {"groups": 3, "bias": False, "padding": (0, 2)}),
    "3d": ((3, 2, 2, (2, 1, 3)), {"stride": (2, 1, 1), "groups": 2}),
}


def module_of(name: str, dtype="float64"):
    import torch

    torch.manual_seed(len(name))
    (rank, *rest), keywords = MODULES[name]
    kind = getattr(torch.nn, f"ConvTranspose{rank}d")
    return kind(*rest, **keywords, dtype=getattr(torch, dtype))


def assert_same_parameters(got, want) -> None:
    """To the bit, in the same dtype and order."""
    import torch

    assert list(got.state_dict()) == list(want.state_dict())
    for name, tensor in want.state_dict().items():
        assert got.state_dict()[name].dtype == tensor.dtype
        assert torch.equal(got.state_dict()[name], tensor), name


@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("name", MODULES)
def test_a_module_there_and_back(name):
    import torch

    module = module_of(name)
    (rank, channels, *_), _ = MODULES[name]
    x = torch.randn(2, channels, *range(3, 3 + rank), dtype=torch.float64)
    layer = interop.to_nnx(module)
    assert isinstance(layer, jtconv.nnx.ConvTranspose)
    assert_close(moved(layer, as_jax(x)), module(x).detach().numpy())
    back = interop.from_nnx(layer)
    assert_same_parameters(back, module)
    assert repr(back) == repr(module)


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "int64"])
@pytest.mark.parametrize("name", ["gan", "grouped"])
def test_dtypes_are_kept(name, dtype):
    module = module_of(name, dtype)
    layer = interop.to_nnx(module)
    assert layer.kernel[...].dtype == dtype
    assert_same_parameters(interop.from_nnx(layer), module)


@pytest.mark.usefixtures("in_numpy")
def test_a_layer_of_ours_there_and_back(rng):
    """Without transpose_kernel, and with a name for its padding that torch has in numbers."""
    layer = jtconv.nnx.ConvTranspose(
        4, 6, (4, 2), (2, 1), padding="SAME", feature_group_count=2, **parameters(rng),
    )  # fmt: skip
    x = rng.normal(size=(2, 3, 5, 4)).astype("float32")
    layer.padding = [(1, 1), (0, 0)]  # torch cannot crop more behind
    again = interop.to_nnx(interop.from_nnx(layer))
    assert_close(again(x), layer(x))
    layer.padding = "SAME"
    with pytest.raises(
        ValueError, match=r"padding: torch crops \(p, .*; axis 1 crops \(0, 1\)\. Crop"
    ):
        interop.from_nnx(layer)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("where", ["utils", "utils.parametrizations"])
def test_norms(norm, where, training):
    """The weight that a norm makes, without making the norm move on."""
    import torch

    home = torch.nn.utils if where == "utils" else torch.nn.utils.parametrizations
    module = getattr(home, norm)(module_of("grouped"))
    if norm == "weight_norm":
        scale = dict(module.named_parameters())
        key = "weight_g" if where == "utils" else "parametrizations.weight.original0"
        scale[key].data *= 3.5  # stale copies of the weight do not know
    module.train(training)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    layer = interop.to_nnx(module)
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64)
    assert_close(moved(layer, as_jax(x)), module.eval()(x).detach().numpy())


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.usefixtures("in_numpy")
@pytest.mark.parametrize("parameter", ["weight", "bias"])
@pytest.mark.parametrize("by", ["weight_norm", "pruning"])
def test_stale_copies_do_not_count(by, parameter):
    """Hooks make a parameter before each call; until then the module holds that of the last."""
    import torch
    from torch.nn.utils import prune, weight_norm

    module = module_of("grouped")
    if by == "pruning":
        prune.random_unstructured(module, parameter, amount=0.5)
    else:
        weight_norm(module, parameter, dim=None)
    made_of = "orig" if by == "pruning" else "g"
    dict(module.named_parameters())[f"{parameter}_{made_of}"].data *= 3.5
    layer = interop.to_nnx(module)
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64)
    assert_close(moved(layer, as_jax(x)), module(x).detach().numpy())


@pytest.mark.usefixtures("in_numpy")
def test_a_conjugated_weight():
    import torch

    module = torch.nn.ConvTranspose1d(2, 3, 2, dtype=torch.complex128)
    module.weight = torch.nn.Parameter(module.weight.detach().conj())
    x = torch.randn(2, 2, 4, dtype=torch.complex128)
    assert_close(moved(interop.to_nnx(module), as_jax(x)), module(x).detach().numpy())


def test_classes_that_compute_in_a_way_of_their_own():
    """A subclass may do anything: a skip connection, a doubled output."""
    import torch

    class Twice(torch.nn.ConvTranspose1d):
        def forward(self, x, output_size=None):
            return 2 * super().forward(x, output_size)

    class Skip(torch.nn.Sequential):
        def forward(self, input):
            return input + super().forward(input)

    class Named(torch.nn.ConvTranspose1d):
        pass

    with pytest.raises(TypeError, match="Twice is a ConvTranspose1d with a forward of its own"):
        interop.to_nnx(Twice(2, 2, 3))
    with pytest.raises(TypeError, match="Skip is a Sequential with a forward of its own"):
        interop.to_nnx(Skip(torch.nn.ReLU()))
    assert interop.to_nnx(Named(2, 2, 3)).kernel.shape == (3, 2, 2)
    upsample = jtconv.nnx.SubPixelConv(2, 2, 3, 2, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match="SubPixelConv is a Conv with a __call__ of its own"):
        interop.from_nnx(nnx.Sequential(upsample))


@pytest.mark.parametrize("kind", [nnx.Conv, jtconv.nnx.ConvTranspose])
def test_masked_weights_go_as_zeros(kind, rng):
    mask = jnp.asarray(rng.integers(0, 2, (3, 2, 2)))
    layer = kind(2, 2, 3, padding=1, mask=mask, **parameters(rng))
    x = rng.normal(size=(1, 2, 5)).astype("float32")
    assert_close(interop.tensors.numpy_of(interop.from_nnx(layer)(tensor(x))), moved(layer, x))


def tensor(array):
    return interop.tensors.tensor_of(array)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda r: nnx.Conv(2, 2, 3, input_dilation=2, rngs=r), "input_dilation.* torch has none"),
        (lambda r: nnx.Conv(2, 2, (1,) * 4, rngs=r), "4 spatial axes, torch's have 1 to 3"),
        (lambda r: nnx.Conv(2, 2, 3, padding="CIRCULAR", rngs=r), "'CIRCULAR'.* is not in torch"),
        (
            lambda r: nnx.Conv(2, 2, 3, padding=[(1, 2)], rngs=r),
            "torch pads both ends alike; axis 0 has",
        ),
        (lambda r: nnx.BatchNorm(2, axis=1, rngs=r), "axis=1.* torch's is that of the channels"),
        (
            lambda r: nnx.Sequential(nnx.BatchNorm(2, rngs=r), nnx.Linear(2, 2, rngs=r)),
            "Linear.* has no counterpart in torch",
        ),
    ],
)
def test_what_torch_has_not_of_other_layers(layer, message):
    with pytest.raises((TypeError, ValueError), match=message):
        interop.from_nnx(layer(nnx.Rngs(0)))


def generator():
    import torch
    from torch import nn

    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding="same", dilation=(1, 2)), nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(4, 6, 4, 2, 1, bias=False), nn.BatchNorm2d(6, momentum=0.2), nn.ReLU(),
        nn.Sequential(nn.ConvTranspose2d(6, 2, 3, 2, 1, 1, groups=2), nn.ELU(0.7), nn.Identity()),
        nn.Conv2d(2, 2, (1, 2), 2, (0, 1), groups=2), nn.BatchNorm2d(2, affine=False), nn.Tanh(),
        nn.SiLU(), nn.ReLU6(), nn.Sigmoid(),
    ).double()  # fmt: skip


def test_a_sequential_there_and_back():
    import torch

    model = generator()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    model(x + 1)  # running statistics of its own
    model.eval()
    ours = interop.to_nnx(model)
    assert_close(moved(partial(compiled, ours), as_jax(x)), model(x).detach().numpy(), slack=8)
    back = interop.from_nnx(ours).eval()
    counted = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
    for name, tensor in counted.items():
        assert torch.equal(back.state_dict()[name], tensor), name
    assert repr(back) == repr(model)
    assert torch.equal(back(x), model(x))


def test_an_unsupported_module_is_named_with_its_place():
    import torch
    from torch import nn

    with pytest.raises(
        TypeError, match=r"^module: .*RReLU has no counterpart here\. These have: S"
    ):
        interop.to_nnx(nn.RReLU())
    block = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh(), nn.LSTM(2, 2)))
    named = nn.Sequential(OrderedDict(stem=nn.ConvTranspose1d(2, 3, 3), block=block))
    model = nn.Sequential(nn.Identity(), named)
    with pytest.raises(TypeError, match=r"^module\[1\]\.block\[1\]\[1\]: .*LSTM has no"):
        interop.to_nnx(model)
    with pytest.raises(TypeError, match=r"^module\[0\]: return_indices=True has no counterpart"):
        interop.to_nnx(nn.Sequential(nn.MaxPool2d(2, return_indices=True)))
    with pytest.raises(TypeError, match=r"^module\.0a: .*ModuleList has no counterpart"):
        interop.to_nnx(nn.Sequential(OrderedDict({"0a": nn.ModuleList()})))
    with pytest.raises(TypeError, match="has no counterpart in torch"):
        interop.from_nnx(nnx.Sequential(jnp.cos))
    wrong = nn.Sequential(nn.ConvTranspose1d(2, 3, 3))
    wrong[0].bias = torch.nn.Parameter(torch.ones(4))
    with pytest.raises(ValueError, match=r"^module\[0\]: bias must have shape \(3,\), got \(4,\)"):
        interop.to_nnx(wrong)


def test_a_mismatch_says_which_parameter():
    import torch

    module = module_of("grouped")
    module.weight = torch.nn.Parameter(module.weight[:, :2].clone())
    with pytest.raises(ValueError, match=r"weight must have shape \(4, 3, 3, 2\), got \(4, 2"):
        interop.to_nnx(module)
    module = module_of("grouped")
    module.bias = torch.nn.Parameter(module.bias[:4].clone())
    with pytest.raises(ValueError, match=r"bias must have shape \(6,\), got \(4,\)"):
        interop.to_nnx(module)


def test_a_mismatch_in_other_layers_says_which_parameter():
    import torch

    convolution, norm = torch.nn.Conv1d(2, 3, 3), torch.nn.BatchNorm1d(2)
    convolution.weight = torch.nn.Parameter(torch.ones(3, 2, 5))
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 2, 3\), got \(3, 2, 5\)"):
        interop.to_nnx(convolution)
    norm.bias = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match=r"bias must have shape \(2,\), got \(3,\)"):
        interop.to_nnx(norm)


def test_a_lazy_module():
    import torch

    module = torch.nn.LazyConvTranspose1d(3, 2)
    for lazy in (module, torch.nn.LazyConv2d(3, 2), torch.nn.LazyBatchNorm1d()):
        with pytest.raises(ValueError, match="no weight yet"):
            interop.to_nnx(lazy)
    module(torch.ones(1, 4, 5))
    assert interop.to_nnx(module).kernel.shape == (2, 3, 4)


def test_doubles_are_not_rounded_in_silence():
    with jax.enable_x64(False), pytest.raises(TypeError, match="kernel is float64, which JAX"):
        interop.to_nnx(module_of("gan"))
