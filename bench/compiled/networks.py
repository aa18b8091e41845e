"""Training steps of whole networks as programs to compile: by ``jax.lax``, and by jtconv.

A network is its convolutions, with a bias and a ReLU behind each, and what joins them; it has no
norms, and its loss is the mean of squares.  A step is the loss, its gradient and an update of every
parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

import jtconv
from bench.compiled.programs import AUTO, PEER, numbers
from jtconv.problem.task import Task

Shape = tuple[int, ...]
TRAINING = "training"  # the setting, beside those of a side


class Lax:
    """What users have without us."""

    @staticmethod
    def conv(x: Any, w: Any, stride: int, padding: int, dilation: int, groups: int) -> Any:
        """As ``jtconv.conv``."""
        rank = x.ndim - 2
        return lax.conv_general_dilated(
            x,
            w,
            (stride,) * rank,
            [(padding, padding)] * rank,
            rhs_dilation=(dilation,) * rank,
            dimension_numbers=numbers(rank),
            feature_group_count=groups,
        )

    @staticmethod
    def up(x: Any, w: Any, stride: int, padding: int) -> Any:
        """As ``jtconv.conv_transpose``."""
        rank, pad = x.ndim - 2, w.shape[0] - 1 - padding
        return lax.conv_general_dilated(
            x,
            lax.rev(w, range(rank)),
            (1,) * rank,
            [(pad, pad)] * rank,
            lhs_dilation=(stride,) * rank,
            dimension_numbers=numbers(rank),
        )


class Ours:
    """By the public functions, whose methods are chosen for the platform that is lowered for."""

    @staticmethod
    def conv(x: Any, w: Any, stride: int, padding: int, dilation: int, groups: int) -> Any:
        """``jtconv.conv``."""
        words = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return jtconv.conv(x, w, **words)  # type: ignore[arg-type]

    @staticmethod
    def up(x: Any, w: Any, stride: int, padding: int) -> Any:
        """``jtconv.conv_transpose``."""
        return jtconv.conv_transpose(x, w, stride=stride, padding=padding)


BY: dict[str, Any] = {PEER: Lax, AUTO: Ours}


class Layers:
    """Layers that take their parameters in turn from ``take``, which is told their shape."""

    def __init__(self, by: Any, take: Callable[[Shape], Any]) -> None:
        self.by, self.take = by, take

    def conv(
        self,
        x: Any,
        features: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
    ) -> Any:
        """A convolution that keeps the size, divided by the stride."""
        w = self.take((*(kernel,) * (x.ndim - 2), x.shape[-1] // groups, features))
        padding = dilation * (kernel - 1) // 2
        y = self.by.conv(x, w, stride, padding, dilation, groups)
        return jax.nn.relu(y + self.take((features,)))

    def up(self, x: Any, features: int, kernel: int, stride: int, padding: int = 0) -> Any:
        """A transposed convolution."""
        w = self.take((*(kernel,) * (x.ndim - 2), x.shape[-1], features))
        return jax.nn.relu(self.by.up(x, w, stride, padding) + self.take((features,)))


Net = Callable[[Layers, Any], Any]


def dcgan(net: Layers, x: Any) -> Any:
    """Radford, Metz and Chintala (arXiv:1511.06434): noise to 64 x 64 pixels."""
    x = net.up(x, 512, 4, 1)
    for features in (256, 128, 64, 3):
        x = net.up(x, features, 4, 2, 1)
    return x


def unet(widths: Sequence[int], classes: int) -> Net:
    """Ronneberger, Fischer and Brox (arXiv:1505.04597), sizes kept; strides in place of pooling."""

    def network(net: Layers, x: Any) -> Any:
        skips: list[Any] = []
        for width in widths:
            x = net.conv(net.conv(x, width, 3, 2 if skips else 1), width, 3)
            skips.append(x)
        for skip in reversed(skips[:-1]):
            width = skip.shape[-1]
            x = jnp.concatenate([skip, net.up(x, width, 2, 2)], axis=-1)
            x = net.conv(net.conv(x, width, 3), width, 3)
        return net.conv(x, classes, 1)

    return network


def resnext(blocks: Sequence[int]) -> Net:
    """Xie et al. (arXiv:1611.05431), 32 groups; a stride in place of pooling."""

    def network(net: Layers, x: Any) -> Any:
        x = net.conv(net.conv(x, 64, 7, 2), 64, 3, 2)
        for stage, count in enumerate(blocks):
            width = 128 << stage
            for block in range(count):
                stride = 2 if stage and not block else 1
                inner = net.conv(net.conv(x, width, 1), width, 3, stride, 32)
                skip = x if block else net.conv(x, 2 * width, 1, stride)
                x = net.conv(inner, 2 * width, 1) + skip
        return x

    return network


# Times wider inside, channels, blocks, stride of the first.
_MOBILE = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
           (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip


# Features, kernel and stride of each transposed convolution of V1.
_HIFIGAN = ((256, 16, 8), (128, 16, 8), (64, 4, 2), (32, 4, 2))


def mobilenet(table: Sequence[tuple[int, int, int, int]]) -> Net:
    """Sandler et al. (arXiv:1801.04381), version 2: depthwise between two of kernel 1."""

    def network(net: Layers, x: Any) -> Any:
        x = net.conv(x, 32, 3, 2)
        for times, features, count, first in table:
            for block in range(count):
                wide = times * x.shape[-1]
                inner = net.conv(x, wide, 1) if times > 1 else x
                inner = net.conv(inner, wide, 3, 1 if block else first, wide)
                y = net.conv(inner, features, 1)
                x = x + y if block else y
        return net.conv(x, 1280, 1)

    return network


def hifigan(stages: Sequence[tuple[int, int, int]]) -> Net:
    """Kong, Kim and Bae (arXiv:2010.05646): of each three residual blocks the first."""

    def network(net: Layers, x: Any) -> Any:
        x = net.conv(x, 2 * stages[0][0], 7)
        for features, kernel, stride in stages:
            x = net.up(x, features, kernel, stride, (kernel - stride) // 2)
            for dilation in (1, 3, 5):
                inner = net.conv(x, features, 3, dilation=dilation)
                x = x + net.conv(inner, features, 3)
        return net.conv(x, 1, 7)

    return network


NETWORKS: dict[str, tuple[Net, Shape]] = {
    "DCGAN": (dcgan, (64, 1, 1, 100)),
    "U-Net": (unet((64, 128, 256, 512, 1024), 2), (8, 256, 256, 3)),
    "ResNeXt-50": (resnext((3, 4, 6, 3)), (32, 224, 224, 3)),
    "MobileNetV2": (mobilenet(_MOBILE), (32, 224, 224, 3)),
    "HiFi-GAN": (hifigan(_HIFIGAN), (16, 32, 80)),
    "nnU-Net": (unet((32, 64, 128, 256, 320), 3), (2, 64, 64, 64, 1)),
}


@dataclass(frozen=True)
class Step:
    """A training step to compile, as `sweep.Work` is a side of a layer."""

    chip: str
    dtype: str
    network: str
    form: str

    @property
    def key(self) -> tuple[str, str, str, str, str, str]:
        """Which of all programs it is."""
        return self.chip, TRAINING, self.dtype, self.network, "step", self.form

    @property
    def task(self) -> Task | None:
        """It is not of one."""
        return None

    def program(self) -> tuple[Callable[..., Any], list[Any], tuple[list[bool], bool]]:
        """A function, its arguments, and which of them the compiler may lay out: none."""
        network, shape = NETWORKS[self.network]
        parameters = [jax.ShapeDtypeStruct(s, self.dtype) for s in shapes(network, shape)]
        x = jax.ShapeDtypeStruct(shape, self.dtype)
        return training(network, BY[self.form]), [x, *parameters], (
            [False] * (1 + len(parameters)), False,
        )  # fmt: skip


def works(chip: str, dtypes: Sequence[str], names: Sequence[str]) -> Iterator[Step]:
    """Steps of these networks, or of all, by ``jax.lax`` and by us."""
    for name in names or NETWORKS:
        if name not in NETWORKS:
            raise ValueError(f"--case must be of {', '.join(NETWORKS)}, got {name!r}")
        for dtype in dtypes:
            for form in BY:
                yield Step(chip, dtype, name, form)


def shapes(network: Net, shape: Shape) -> list[Shape]:
    """Of all parameters, in the order in which they are taken."""
    found: list[Shape] = []

    def take(shape: Shape) -> Any:
        found.append(shape)
        return jnp.zeros(shape, "float32")

    jax.eval_shape(lambda x: network(Layers(Lax, take), x), jax.ShapeDtypeStruct(shape, "float32"))
    return found


def training(network: Net, by: Any) -> Callable[..., list[Any]]:
    """A step of gradient descent: a batch and all parameters to all parameters."""

    def loss(parameters: Sequence[Any], x: Any) -> Any:
        left = iter(parameters)
        y = network(Layers(by, lambda shape: next(left)), x)
        return jnp.mean(jnp.square(y.astype("float32")))

    def step(x: Any, *parameters: Any) -> list[Any]:
        gradients = jax.grad(loss)(parameters, x)
        return [p - 1e-3 * g for p, g in zip(parameters, gradients, strict=True)]

    return step
