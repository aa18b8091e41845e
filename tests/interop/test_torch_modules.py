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
from tests.interop.compiled import moved
from tests.selection import rows

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
        MaxPool2d(2)  MaxPool2d(3,2,1)  MaxPool2d((3,2),(2,1),(1,0),(1,2))  MaxPool2d(3,2,1,1,False,True)
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
        Upsample(scale_factor=2,mode='bilinear')  Upsample(scale_factor=2,mode='bilinear',align_corners=True)
        Upsample(scale_factor=(0.6,1.7),mode='bilinear')  Upsample((1,20),mode='bilinear',align_corners=True)
        Upsample(scale_factor=1.7,mode='bilinear',recompute_scale_factor=True)
        Upsample(scale_factor=2.5,mode='bicubic')  Upsample((3,14),mode='bicubic')
        Upsample(scale_factor=2,mode='bicubic',align_corners=True)  Upsample((3,4),mode='area')
        UpsamplingNearest2d(scale_factor=3)  UpsamplingNearest2d((4,13))  UpsamplingBilinear2d(scale_factor=2)
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
        Conv2d(8,4,3,padding=2,padding_mode='reflect')  Conv2d(8,4,(3,2),2,(1,3),padding_mode='circular')
        Conv2d(8,4,3,1,(0,2),(2,1),2,False,'replicate')
        Conv2d(8,4,(2,3),padding='same',padding_mode='circular')
        Conv2d(8,4,(4,2),padding='same',dilation=(1,3),padding_mode='reflect')
        Conv2d(8,4,3,padding_mode='replicate')
    """,
    LINE: """
        Softmax()  GLU(1)  PReLU(6)  MaxPool1d(3,2,1)  MaxPool1d(2,3,1,2,ceil_mode=True)
        AvgPool1d(3,2,1)  AvgPool1d(3,2,1,True,False)  AvgPool1d(2,3,ceil_mode=True)  LPPool1d(2,3,2)
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
    "GELU()", "Hardtanh(-0.2,0.9)", "Softmax(1)", "GLU(1)", "PReLU(8)", "MaxPool2d(3,2,1)",
    "AvgPool2d((2,4),(3,2),(1,2),True,False)", "AdaptiveAvgPool2d((4,5))",
    "ReflectionPad2d((1,3,0,5))", "CircularPad2d((-1,3,2,-2))", "ConstantPad2d((1,0,2,3),3.5)",
    "Upsample(scale_factor=(1.5,2.3))", "Upsample(scale_factor=(0.6,1.7),mode='bilinear')",
    "Upsample(scale_factor=2.5,mode='bicubic')", "PixelShuffle(2)", "PixelUnshuffle(3)",
    "ChannelShuffle(4)", "Flatten()", "Unflatten(1,(2,4))", "BatchNorm2d(8,momentum=None)",
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


@pytest.mark.parametrize(
    ("text", "shape"), rows(CASES, {f"4 axes: {text}" for text in QUICK})
)
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
            if "num_batches" not in name or "momentum=None" in text and "Batch" in text:
                assert torch.equal(again.state_dict()[name], tensor), name


def test_every_class_of_the_table_has_a_case():
    used = {text.split("(")[0] for text, _ in CASES.values()}
    assert used == {*FUNCTIONS, *LAYERS}
