"""The layers of published networks, as data that Flax and torch both can be built from.

Depths, widths, kernels, strides and groups are the papers'; inputs are small enough for two CPU
cores.  All normalizations are GroupNorm, which keeps no statistics, and heads and losses are left
out: what is measured are convolutions and what stands between them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """A convolution, SAME, with a bias."""

    features: int
    kernel: int
    stride: int = 1
    groups: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class ConvTranspose:
    """A transposed convolution to ``stride`` times the size, with a bias."""

    features: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Norm:
    """GroupNorm of 8 groups."""


@dataclass(frozen=True)
class Act:
    """An activation: relu, gelu, elu, leaky_relu or tanh."""

    name: str = "relu"


@dataclass(frozen=True)
class Residual:
    """The sum of two branches; an empty one is the input itself."""

    body: Spec
    shortcut: Spec = ()


@dataclass(frozen=True)
class Skip:
    """The input beside what the body makes of it, along the channels."""

    body: Spec


Layer = Conv | ConvTranspose | Norm | Act | Residual | Skip
Spec = tuple[Layer, ...]


@dataclass(frozen=True)
class Network:
    """A network with the shape of its input: batch, space, channels."""

    name: str
    source: str
    spec: Spec
    shape: tuple[int, ...]


def _unit(features: int, kernel: int, stride: int = 1, groups: int = 1, act: str = "relu") -> Spec:
    return Conv(features, kernel, stride, groups), Norm(), Act(act)


def _stages(stem: Spec, widths: tuple[int, ...], depths: tuple[int, ...], groups: int) -> Spec:
    """Bottlenecks of ResNet and ResNeXt: 1x1, 3x3 in groups, 1x1."""
    layers = list(stem)
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            stride = 2 if block == 0 and number > 0 else 1
            out = 256 * 2**number
            body = (
                *_unit(width, 1),
                *_unit(width, 3, stride, groups),
                Conv(out, 1),
                Norm(),
            )
            shortcut: Spec = (Conv(out, 1, stride), Norm()) if block == 0 else ()
            layers += [Residual(body, shortcut), Act()]
    return tuple(layers)


def _resnet() -> Spec:
    return _stages((*_unit(64, 7, 2),), (64, 128, 256, 512), (3, 4, 6, 3), groups=1)


def _resnext() -> Spec:
    return _stages((*_unit(64, 7, 2),), (128, 256, 512, 1024), (3, 4, 6, 3), groups=32)


def _mobilenet() -> Spec:
    """Inverted residuals: expand, depthwise, project."""
    layers, width = [*_unit(32, 3, 2)], 32
    stages = (
        *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
        *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
    )
    for expand, out, depth, first in stages:
        for block in range(depth):
            stride, inner = (first if block == 0 else 1), width * expand
            body = (*_unit(inner, 1), *_unit(inner, 3, stride, inner), Conv(out, 1), Norm())
            layers += [Residual(body)] if stride == 1 and width == out else [*body]
            width = out
    return tuple(layers)


def _convnext() -> Spec:
    layers: list[Layer] = [Conv(96, 4, 4), Norm()]
    for number, depth in enumerate((3, 3, 9, 3)):
        width = 96 * 2**number
        if number > 0:
            layers += [Norm(), Conv(width, 2, 2)]
        block = Conv(width, 7, groups=width), Norm(), Conv(4 * width, 1), Act("gelu")
        layers += [Residual((*block, Conv(width, 1)))] * depth
    return tuple(layers)


def _unet(widths: tuple[int, ...], out: int) -> Spec:
    """Two 3x3 layers a level, on the way down and up; k2 s2 up."""

    def level(number: int) -> Spec:
        width = widths[number]
        twice = (*_unit(width, 3), *_unit(width, 3))
        if number + 1 == len(widths):
            return twice
        down = (Conv(widths[number + 1], 2, 2), Act(), *level(number + 1))
        return (*twice, Skip((*down, ConvTranspose(width, 2, 2))), *twice)

    return (*level(0), Conv(out, 1))


def _wave_residual(width: int, dilation: int) -> Residual:
    body = Act("elu"), Conv(width // 2, 3, dilation=dilation), Act("elu"), Conv(width, 1)
    return Residual(body)


def _codec() -> Spec:
    """EnCodec's encoder and decoder, without what lies between."""
    layers: list[Layer] = [Conv(32, 7)]
    for number, stride in enumerate((2, 4, 5, 8)):
        width = 32 * 2**number
        layers += [_wave_residual(width, 1), Act("elu"), Conv(2 * width, 2 * stride, stride)]
    layers += [Act("elu"), Conv(128, 7), Conv(512, 7)]
    for number, stride in enumerate((8, 5, 4, 2)):
        width = 256 // 2**number
        layers += [Act("elu"), ConvTranspose(width, 2 * stride, stride), _wave_residual(width, 1)]
    return (*layers, Act("elu"), Conv(1, 7))


def _vocoder() -> Spec:
    """HiFi-GAN's generator V1; of its three parallel stacks a stage the middle one."""
    layers: list[Layer] = [Conv(512, 7)]
    for number, (kernel, stride) in enumerate(((16, 8), (16, 8), (4, 2), (4, 2))):
        width = 256 // 2**number
        layers += [Act("leaky_relu"), ConvTranspose(width, kernel, stride)]
        for dilation in (1, 3, 5):
            wide = Conv(width, 7, dilation=dilation)
            body = Act("leaky_relu"), wide, Act("leaky_relu"), Conv(width, 7)
            layers.append(Residual(body))
    return (*layers, Act("leaky_relu"), Conv(1, 7), Act("tanh"))


NETWORKS = (
    Network("ResNet-50", "arXiv:1512.03385", _resnet(), (2, 96, 96, 3)),
    Network("ResNeXt-50", "arXiv:1611.05431, 32x4d", _resnext(), (2, 96, 96, 3)),
    Network("MobileNetV2", "arXiv:1801.04381", _mobilenet(), (4, 96, 96, 3)),
    Network("ConvNeXt-T", "arXiv:2201.03545", _convnext(), (2, 96, 96, 3)),
    Network("U-Net", "arXiv:1505.04597", _unet((64, 128, 256, 512, 1024), 2), (1, 96, 96, 3)),
    Network("nnU-Net", "arXiv:1809.10486, 3-D", _unet((32, 64, 128, 256), 4), (1, 24, 24, 24, 1)),
    Network("EnCodec", "arXiv:2210.13438", _codec(), (1, 6400, 1)),
    Network("HiFi-GAN", "arXiv:2010.05646", _vocoder(), (1, 24, 80)),
)
