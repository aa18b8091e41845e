"""torch's modules around a layer: the same numbers at rest and in training, there and back."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jtconv.interop import torch as interop
from jtconv.interop.torch.modules import FUNCTIONS, LAYERS
from tests.compare import assert_close
from tests.selection import exhaustive, rows

pytestmark = pytest.mark.peer("torch")

LINE, PLANE, SPACE, FLAT = (2, 6, 7), (2, 8, 6, 9), (2, 4, 5, 6, 4), (3, 8)
# Modules as people write them, by the shape of what they are given.
MODULES = {
    PLANE: """
        Identity()  ReLU()  ReLU(inplace=True)  ReLU6()  LeakyReLU()  LeakyReLU(0.3)  ELU()
        ELU(0.7)  CELU()  CELU(0.4)  SELU()  GELU()  GELU('tanh')  SiLU()  Mish()  Softplus()
        Softplus(3.0, 1.5)  Softsign()  Sigmoid()  LogSigmoid()  Hardsigmoid()  Hardswish()
        Tanh()  Hardtanh()  Hardtanh(-0.2, 0.9)  Tanhshrink()  Softshrink()  Softshrink(0.2)
        Hardshrink()  Hardshrink(0.8)  Threshold(0.1, 20.0)  Softmax()  Softmax(0)  Softmax(1)
        Softmax(2)  Softmax(-1)  LogSoftmax(1)  LogSoftmax(-2)  Softmin(1)  Softmin(3)  Softmax2d()
        GLU(1)  GLU(-2)  PReLU()  PReLU(8)
        MaxPool2d(2)  MaxPool2d(3,2,1)  MaxPool2d((3,2),(2,1),(1,0),(1,2))
        MaxPool2d(3,2,1,1,False,True)
        MaxPool2d(2,3,ceil_mode=True)  MaxPool2d((2,5),5,(1,2),ceil_mode=True)
        AvgPool2d(2)  AvgPool2d(3,2,1)  AvgPool2d(3,2,1,count_include_pad=False)
        AvgPool2d(3,2,1,ceil_mode=True)  AvgPool2d((2,4),(3,2),(1,2),True,False)
        AvgPool2d(3,2,1,divisor_override=5)  AvgPool2d(2,3,ceil_mode=True,divisor_override=2)
        LPPool2d(2,3)  LPPool2d(4.0,(2,3),2,True)  LPPool2d(1,(3,2),3,True)
        AdaptiveAvgPool2d(1)  AdaptiveAvgPool2d((4,5))  AdaptiveAvgPool2d((None,4))
        AdaptiveAvgPool2d(11)  AdaptiveMaxPool2d(3)  AdaptiveMaxPool2d((5,None))
        ZeroPad2d(2)  ZeroPad2d((1,2,3,0))  ZeroPad2d((-1,2,0,-2))  ConstantPad2d((1,0,2,3),3.5)
        ReflectionPad2d(2)  ReflectionPad2d((1,3,0,5))  ReplicationPad2d((4,1,0,9))
        ReplicationPad2d((-1,1,3,-2))  CircularPad2d(3)  CircularPad2d((0,2,5,1))
        CircularPad2d((-1,3,2,-2))
        Upsample(scale_factor=2)  Upsample(scale_factor=(1.5,2.3))  Upsample((4,17))  Upsample(5)
        Upsample(scale_factor=2.7,mode='nearest-exact')  Upsample((7,4),mode='nearest-exact')
        Upsample(scale_factor=2,mode='bilinear')
        Upsample(scale_factor=2,mode='bilinear',align_corners=True)
        Upsample(scale_factor=(0.6,1.7),mode='bilinear')
        Upsample((1,20),mode='bilinear',align_corners=True)
        Upsample(scale_factor=1.7,mode='bilinear',recompute_scale_factor=True)
        Upsample(scale_factor=2.5,mode='bicubic')  Upsample((3,14),mode='bicubic')
        Upsample(scale_factor=2,mode='bicubic',align_corners=True)  Upsample((3,4),mode='area')
        UpsamplingNearest2d(scale_factor=3)  UpsamplingNearest2d((4,13))
        UpsamplingBilinear2d(scale_factor=2)
        UpsamplingBilinear2d((5,11))
        PixelShuffle(2)  PixelUnshuffle(3)  ChannelShuffle(4)  ChannelShuffle(2)
        Flatten()  Flatten(2)  Flatten(0,1)  Flatten(-3,-2)  Flatten(0)  Unflatten(1,(2,4))
        Unflatten(-1,(3,3))  Unflatten(1,(-1,2))  Unflatten(0,(1,2))
        BatchNorm2d(8)  BatchNorm2d(8,momentum=0.3,eps=0.1)  BatchNorm2d(8,momentum=None)
        BatchNorm2d(8,track_running_stats=False)  BatchNorm2d(8,affine=False)
        InstanceNorm2d(8)  InstanceNorm2d(8,affine=True)  InstanceNorm2d(8,0.2,0.4,True,True)
        InstanceNorm2d(8,momentum=None,track_running_stats=True)
        GroupNorm(2,8)  GroupNorm(8,8,0.3)  GroupNorm(1,8,affine=False)  GroupNorm(4,8,bias=False)
        LayerNorm(9)  LayerNorm((6,9))  LayerNorm((8,6,9))  LayerNorm((8,6,9),0.2,False)
        LayerNorm((6,9),bias=False)
        Linear(9,4)  Linear(9,4,bias=False)
        Dropout(0.0)  Dropout(1.0)  Dropout2d(1.0)
        ConvTranspose2d(8,6,3,2,1,1,2)  Conv2d(8,4,3,2,1,2,2)
        Conv2d(8,4,3,padding=2,padding_mode='reflect')
        Conv2d(8,4,(3,2),2,(1,3),padding_mode='circular')
        Conv2d(8,4,3,1,(0,2),(2,1),2,False,'replicate')
        Conv2d(8,4,(2,3),padding='same',padding_mode='circular')
        Conv2d(8,4,(4,2),padding='same',dilation=(1,3),padding_mode='reflect')
        Conv2d(8,4,3,padding_mode='replicate')
    """,
    LINE: """
        Softmax()  GLU(1)  PReLU(6)  MaxPool1d(3,2,1)  MaxPool1d(2,3,1,2,ceil_mode=True)
        AvgPool1d(3,2,1)  AvgPool1d(3,2,1,True,False)  AvgPool1d(2,3,ceil_mode=True)
        LPPool1d(2,3,2)
        AdaptiveAvgPool1d(3)  AdaptiveAvgPool1d(10)  AdaptiveMaxPool1d(4)
        ZeroPad1d((2,-1))  ConstantPad1d(2,-1.5)  ReflectionPad1d((6,2))  ReplicationPad1d((8,1))
        CircularPad1d((7,3))  Upsample(scale_factor=2)  Upsample(13,mode='linear')
        Upsample(scale_factor=2.5,mode='linear',align_corners=True)  Upsample(scale_factor=1.9)
        Upsample(scale_factor=0.5,mode='area')  ChannelShuffle(3)  Flatten()  Unflatten(1,(2,3))
        BatchNorm1d(6)  InstanceNorm1d(6,affine=True)  InstanceNorm1d(6,track_running_stats=True)
        GroupNorm(3,6)  LayerNorm(7)  LayerNorm((6,7))  Linear(7,3)  Dropout1d(1.0)
        ConvTranspose1d(6,4,4,2,1)  Conv1d(6,4,3,2,2,padding_mode='reflect')
        Conv1d(6,4,4,padding='same',padding_mode='circular')
    """,
    SPACE: """
        MaxPool3d(2)  MaxPool3d((2,3,1),2,(1,1,0),(2,1,1),ceil_mode=True)  AvgPool3d(2,3,1)
        AvgPool3d((2,3,2),2,1,True,False)  AvgPool3d(2,divisor_override=3)  LPPool3d(2,(2,3,1))
        AdaptiveAvgPool3d((2,3,1))  AdaptiveMaxPool3d(2)  ZeroPad3d((1,2,0,1,3,-1))
        ConstantPad3d(1,2.0)  ReflectionPad3d((1,2,3,0,4,1))  ReplicationPad3d((5,0,1,2,3,1))
        CircularPad3d((1,2,3,0,5,2))  Upsample(scale_factor=2)  Upsample((4,9,7),mode='trilinear')
        Upsample(scale_factor=(1.5,2,0.7),mode='trilinear',align_corners=True)
        Upsample(scale_factor=1.3,mode='nearest-exact')  Flatten()  Flatten(2,3)  Softmax(1)
        BatchNorm3d(4)  InstanceNorm3d(4,affine=True)  InstanceNorm3d(4,track_running_stats=True)
        GroupNorm(2,4)  LayerNorm((4,5,6,4))  LayerNorm((6,4))  Linear(4,3)  Dropout3d(1.0)
        ConvTranspose3d(4,2,2,2)  Conv3d(4,2,(2,3,1),padding=(1,2,3),padding_mode='circular')
    """,
    FLAT: """
        Linear(8,3)  BatchNorm1d(8)  BatchNorm1d(8,momentum=None)  SyncBatchNorm(8)  LayerNorm(8)
        GroupNorm(2,8)  Softmax(1)  LogSoftmax(-1)  GLU()  PReLU(8)  Unflatten(1,(2,2,2))
        Unflatten(1,(4,2))  Flatten()  Dropout(1.0)
    """,
}
CASES = {
    f"{len(shape)} axes: {text}": (text, shape)
    for shape, texts in MODULES.items()
    for text in texts.replace(", ", ",").split()
}
QUICK = (
    "GELU()", "Softmax(1)", "GLU(1)",
    "AvgPool2d(3,2,1,ceil_mode=True)",
    "MaxPool2d((2,5),5,(1,2),ceil_mode=True)", "AdaptiveAvgPool2d((4,5))",
    "ReflectionPad2d((1,3,0,5))", "ConstantPad2d((1,0,2,3),3.5)",
    "Upsample(scale_factor=(1.5,2.3))", "Upsample(scale_factor=(0.6,1.7),mode='bilinear')",
    "Upsample(scale_factor=2.5,mode='bicubic')", "PixelUnshuffle(3)",
    "Flatten()", "Unflatten(1,(2,4))", "BatchNorm2d(8,momentum=None)",
    "InstanceNorm2d(8,0.2,0.4,True,True)", "GroupNorm(2,8)", "LayerNorm((8,6,9))", "Linear(9,4)",
    "Conv2d(8,4,(4,2),padding='same',dilation=(1,3),padding_mode='reflect')",
)  # fmt: skip


def made(text: str, dtype: str = "float64") -> Any:
    """The module, with parameters and statistics that are not those of a new one."""
    import torch

    torch.manual_seed(len(text))
    module = eval(text, vars(torch.nn))
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.data = torch.rand(tensor.shape, dtype=torch.float64) + 0.5
    return module.to(getattr(torch, dtype))


def given(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Any:
    import torch

    torch.manual_seed(seed)
    return 2 * torch.randn(shape, dtype=torch.float64).to(getattr(torch, dtype))


def as_numpy(tensor: Any) -> np.ndarray:
    return interop.tensors.numpy_of(tensor)


def by_us(layer: Any, x: Any) -> np.ndarray:
    """In torch's layout, in and out, whatever the numbers of axes."""
    y = layer(jnp.moveaxis(jnp.asarray(as_numpy(x)), 1, -1))
    return np.moveaxis(np.asarray(y), -1, 1) if y.ndim > 1 else np.asarray(y)


def by_torch(module: Any, x: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arguments that torch would rather have explicit
        return as_numpy(module(x.clone()))


def training_tells(text: str) -> bool:
    return any(kind in text for kind in ("BatchNorm", "InstanceNorm", "Dropout"))


@pytest.mark.parametrize(("text", "shape"), rows(CASES, {f"4 axes: {text}" for text in QUICK}))
def test_a_module(text, shape):
    """torch's numbers, at rest and in training, then and afterwards; and the module again."""
    import torch

    module, x = made(text), given(shape)
    for training in (False, True) if training_tells(text) else (False,):
        module.train(training)
        layer = interop.to_nnx(module)
        for seed in (0, 1, 2):  # running statistics move on
            x = given(shape, seed=seed)
            if "SyncBatchNorm" in text and training:
                break  # torch's is for GPUs
            assert_close(by_us(layer, x), by_torch(module, x), slack=4)
            if not training:
                break
        module.eval()
        if isinstance(layer, nnx.Module):
            layer.eval()
        if "SyncBatchNorm" not in text:
            assert_close(by_us(layer, x), by_torch(module, x), slack=4)
        module.train(training)
        again = interop.from_nnx(interop.to_nnx(module))
        if "SyncBatchNorm" not in text:
            assert repr(again) == repr(module).replace("inplace=True", "")
        assert again.training == module.training or not training_tells(text)
        for name, tensor in module.state_dict().items():
            if "num_batches" not in name or ("momentum=None" in text and "Batch" in text):
                assert torch.equal(again.state_dict()[name], tensor), name


def test_every_class_of_the_table_has_a_case():
    used = {text.split("(")[0] for text, _ in CASES.values()}
    assert used == {*FUNCTIONS, *LAYERS}


HALVES = (
    "GELU()", "Softplus(3.0,1.5)", "AvgPool2d(3,2,1)", "AdaptiveAvgPool2d((4,5))", "GroupNorm(2,8)",
    "Upsample(scale_factor=2,mode='bilinear')", "LayerNorm((8,6,9))", "BatchNorm2d(8)", "PReLU(8)",
    "InstanceNorm2d(8,affine=True)", "MaxPool2d(3,2,1)", "Threshold(0.1,20.0)", "Linear(9,4)",
    "ConstantPad2d((1,0,2,3),3.5)", "LPPool2d(2,3)",
    "Conv2d(8,4,3,padding=2,padding_mode='reflect')",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "dtype"),
    rows(
        {f"{text} {dtype}": (text, dtype) for text in HALVES for dtype in ("bfloat16", "float32")},
        {"AvgPool2d(3,2,1) bfloat16"},
    ),
)
def test_dtypes_are_kept_and_halves_added_in_float32(text, dtype):
    module, x = made(text, dtype).eval(), given(PLANE, dtype)
    got = by_us(interop.to_nnx(module), x)
    assert got.dtype == dtype
    assert_close(got, by_torch(module, x), slack=4)


GRADIENTS = (
    "MaxPool2d((3,2),(2,1),(1,0),(1,2))", "MaxPool2d(3,1,1,2)",
    "MaxPool2d((2,5),5,(1,2),ceil_mode=True)",
    "AvgPool2d((2,4),(3,2),(1,2),True,False)", "AdaptiveMaxPool2d(3)", "AdaptiveAvgPool2d(11)",
    "ReflectionPad2d((1,3,0,5))", "CircularPad2d((-1,3,2,-2))", "Softplus(3.0,1.5)", "PReLU(8)",
    "Upsample(scale_factor=2.5,mode='bicubic')", "BatchNorm2d(8)", "InstanceNorm2d(8)",
    "LayerNorm((8,6,9))", "Hardshrink()", "Softshrink()", "GELU('tanh')", "LPPool2d(2,3)",
)  # fmt: skip


@pytest.mark.parametrize("text", rows(GRADIENTS, {"MaxPool2d(3,1,1,2)"}))
def test_gradients(text):
    """Those of torch, of a result weighed at random."""
    module, x = made(text), given(PLANE).requires_grad_()
    y = module(x)
    weights = given(tuple(y.shape), seed=5)
    (y * weights).sum().backward()
    layer = interop.to_nnx(module)
    scale = jnp.moveaxis(jnp.asarray(as_numpy(weights)), 1, -1)
    start = jnp.moveaxis(jnp.asarray(as_numpy(x)), 1, -1)

    def loss(x, layer=layer):
        return (layer(x) * scale).sum()

    if isinstance(layer, nnx.Module):  # its statistics move on
        got = nnx.grad(loss)(start, layer)
    else:
        got = jax.grad(loss)(start)
    assert_close(np.moveaxis(np.asarray(got), -1, 1), as_numpy(x.grad), slack=16)


@pytest.mark.parametrize(
    "text",
    ["MaxPool2d(3,2,1)", "AvgPool2d(2)", "AdaptiveAvgPool2d(2)", "PixelShuffle(2)",
     "PixelUnshuffle(3)", "ReflectionPad2d(2)", "InstanceNorm2d(8)", "Conv2d(8,4,3)",
     "Conv2d(8,4,3,padding=1,padding_mode='circular')", "ConstantPad2d(1,2.0)"],
)  # fmt: skip
def test_one_example_without_a_batch(text):
    module, x = made(text), given(PLANE[1:])
    y = interop.to_nnx(module)(jnp.moveaxis(jnp.asarray(as_numpy(x)), 0, -1))
    assert_close(np.moveaxis(np.asarray(y), -1, 0), by_torch(module, x), slack=4)


@exhaustive
def test_nan_and_infinity_go_where_torch_lets_them():
    import torch

    x = torch.tensor([[[float("nan"), float("inf"), -float("inf"), -1.0, 2.0, 0.0]]])
    for text in ("ReLU()", "Hardtanh()", "Hardshrink()", "Threshold(0.1,20.0)", "MaxPool1d(2)",
                 "AvgPool1d(2)", "AdaptiveAvgPool1d(3)", "AdaptiveMaxPool1d(2)", "LeakyReLU()",
        "Softplus()", "Tanh()", "ReplicationPad1d(2)", "Upsample(scale_factor=2)"):  # fmt: skip
        module = made(text, "float32")
        np.testing.assert_allclose(
            by_us(interop.to_nnx(module), x), by_torch(module, x), rtol=1e-6, err_msg=text
        )


@pytest.mark.parametrize(
    ("text", "shared"), [pytest.param("Dropout(0.3)", 0, marks=exhaustive), ("Dropout2d(0.3)", 2)]
)
def test_dropout(text, shared):
    """In training about so many are 0, whole channels or not, and the others are scaled."""
    layer, x = interop.to_nnx(made(text), nnx.Rngs(1)), jnp.ones((50, 4, 5, 30))
    y, z = np.asarray(layer(x)), np.asarray(layer(x))
    assert not np.array_equal(y, z)
    assert set(np.unique(y.round(12))) == {0, round(1 / 0.7, 12)}
    assert abs((y == 0).mean() - 0.3) < 0.05
    assert (np.ptp(y, axis=(1, 2)) == 0).all() == bool(shared)
    layer.eval()
    np.testing.assert_array_equal(layer(x), x)
    layer.train()
    assert (np.asarray(layer(x)) == 0).any()
    twice = interop.to_nnx(eval(f"Sequential({text}, {text})", vars(__import__("torch").nn)))
    first, second = (np.asarray(layer(x)) for layer in twice.layers)
    assert not np.array_equal(first, second), "each draws its own"


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("where", ["utils", "utils.parametrizations"])
@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("text", ["Conv2d(8,4,3,padding=1,padding_mode='reflect')", "Linear(9,4)"])
def test_weight_and_spectral_norm(text, norm, where):
    """In both of torch's forms."""
    import torch

    home = torch.nn.utils if where == "utils" else torch.nn.utils.parametrizations
    module, x = getattr(home, norm)(made(text)).eval(), given(PLANE)
    assert_close(by_us(interop.to_nnx(module), x), by_torch(module, x), slack=4)


@exhaustive
@pytest.mark.parametrize("training", [False, True])
def test_a_generator_a_decoder_and_a_head(training):
    """Nested, with a change of axes: what people have in one Sequential."""
    from torch import nn

    model = nn.Sequential(
        nn.Linear(8, 4 * 3 * 2, bias=False), nn.BatchNorm1d(24), nn.GELU(),
        nn.Unflatten(1, (4, 3, 2)),
        nn.Sequential(
            nn.ConvTranspose2d(4, 8, 3, 2), nn.InstanceNorm2d(8, affine=True), nn.PReLU(8)
        ),
        nn.ReflectionPad2d(1), nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), nn.Mish(),
        nn.MaxPool2d(2, 1), nn.PixelShuffle(2), nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.ChannelShuffle(2), nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten(), nn.LayerNorm(12),
        nn.Linear(12, 6), nn.Softmax(1),
    ).double().train(training)  # fmt: skip
    x = given(FLAT)
    layer = interop.to_nnx(model)
    for seed in (0, 1):
        assert_close(
            by_us(layer, given(FLAT, seed=seed)), by_torch(model, given(FLAT, seed=seed)), slack=64
        )
    layer.eval()
    assert_close(by_us(layer, x), by_torch(model.eval(), x), slack=64)
    graph, state = nnx.split(layer)
    jitted = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    assert_close(np.asarray(jitted(state, jnp.asarray(as_numpy(x)))), by_torch(model, x), slack=64)
    back = interop.from_nnx(layer)
    assert repr(back) == repr(model)
    assert_close(by_torch(back, x), by_torch(model, x))


def test_the_issues_lines():
    from torch import nn

    for around in (nn.GELU(), nn.InstanceNorm2d(8, affine=True)):
        model, x = (
            nn.Sequential(nn.ConvTranspose2d(4, 8, 3), around),
            given((2, 4, 5, 6), "float32"),
        )
        assert_close(by_us(interop.to_nnx(model), x), by_torch(model, x), slack=8)


WRONG = {
    "MaxPool2d(2,padding=2)": "padding must be at most half of the kernel",
    "MaxPool2d(20)": "kernel_size leaves no output of 6 cells",
    "AvgPool2d(3,padding=2)": "padding must be at most half of the kernel",
    "ReflectionPad2d(6)": "padding must be at most 5 of 6 cells",
    "CircularPad2d(7)": "padding must be at most 6 of 6 cells",
    "ZeroPad2d(-4)": "padding leaves no output of 6 cells",
    "MaxPool1d(2)": "inputs must have 1 spatial axes",
    "PixelShuffle(3)": "inputs must have a multiple of upscale_factor",
    "PixelUnshuffle(4)": "inputs must have spatial sizes that 4 divides",
    "ChannelShuffle(3)": "groups must divide the channels",
    "GLU()": "dim=-1 must have an even size, got 9",
    "Softmax(4)": "dim must be one of -4 to 3",
    "Flatten(1,4)": "dim must be an axis of inputs",
    "Flatten(3,1)": "start_dim=3 comes after end_dim=1",
    "Upsample(scale_factor=2,mode='linear')": "as many spatial axes as mode='linear' is for",
    "Upsample(scale_factor=0.1)": "size must be 1 or more",
    "LayerNorm(8)": r"inputs must end in \(8,\)",
    "PReLU(3)": "inputs must have the 3 channels of weight",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_torch_refuses_of_an_input_we_refuse(text):
    module, x = made(text), given(PLANE)
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        by_torch(module, x)
    with pytest.raises(ValueError, match=WRONG[text]):
        by_us(interop.to_nnx(module), x)


def test_one_value_a_channel_has_no_variance_to_train_on():
    for text, shape in (("BatchNorm1d(8)", (1, 8)), ("InstanceNorm1d(8)", (2, 8, 1))):
        module, x = made(text), given(shape)
        with pytest.raises(ValueError, match="more than 1"):
            by_torch(module, x)
        with pytest.raises(ValueError, match="more than one value a channel"):
            by_us(interop.to_nnx(module), x)


def test_dropout_of_other_axes_is_not_torchs():
    layer = nnx.Dropout(0.3, broadcast_dims=(1,), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"broadcast_dims=\(1,\); torch's have none or all"):
        interop.from_nnx(layer)
