"""FCN: a classifier as a map of classes, upsampled by layers that begin as bilinear."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
from flax import nnx

from jtconv import initializers
from jtconv.models.vgg import VGG
from jtconv.nnx import ConvTranspose


def _upsample(classes: int, factor: int, rngs: nnx.Rngs) -> ConvTranspose:
    """Scores ``factor`` times as large, by bilinear interpolation until it is trained."""
    return ConvTranspose(
        classes,
        classes,
        (2 * factor, 2 * factor),
        factor,
        padding="SAME",
        use_bias=False,
        kernel_init=initializers.bilinear(),
        rngs=rngs,
    )


class FCN(nnx.Module):
    """Class scores for every pixel; figure 3 of the paper.

    The deepest features are scored and doubled, the scores of ``skips`` finer stages added as
    they are reached, and the rest is done in one large step: of 32 without skips (FCN-32s),
    of 8 with two (FCN-8s). Skips start at zero, so a net with skips starts as one without.

    Shapes: ``(batch, *size, in_features)`` to ``(batch, *size, classes)``. Any size works: each
    step upsamples to the size of the stage it is added to.
    Source: Long, Shelhamer and Darrell, "Fully convolutional networks for semantic
    segmentation" (arXiv:1411.4038), without its dropout.

    >>> fcn = FCN(3, 5, (4, 8, 8), (1, 1, 1), hidden=16, window=3, skips=1, rngs=nnx.Rngs(0))
    >>> fcn(jax.numpy.ones((1, 21, 32, 3))).shape
    (1, 21, 32, 5)
    """

    def __init__(
        self,
        in_features: int,
        classes: int,
        features: Sequence[int] = (64, 128, 256, 512, 512),
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        *,
        hidden: int = 4096,
        window: int = 7,
        skips: int = 2,
        norm: bool = True,
        rngs: nnx.Rngs,
    ) -> None:
        if not 0 <= skips < len(features):
            raise ValueError(
                f"skips must be in 0 .. {len(features) - 1}, one stage less than there are; "
                f"got {skips}."
            )
        self.encoder = VGG(in_features, features, depths, norm=norm, rngs=rngs)
        self.hidden = nnx.List(
            [
                nnx.Conv(features[-1], hidden, (window, window), rngs=rngs),
                nnx.Conv(hidden, hidden, (1, 1), rngs=rngs),
            ]
        )
        self.score = nnx.Conv(hidden, classes, (1, 1), rngs=rngs)
        self.skips = nnx.List(
            nnx.Conv(count, classes, (1, 1), kernel_init=nnx.initializers.zeros, rngs=rngs)
            for count in features[-2::-1][:skips]
        )
        self.double = nnx.List(_upsample(classes, 2, rngs) for _ in range(skips))
        self.enlarge = _upsample(classes, 2 ** (len(features) - skips), rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Scores (logits), one a class, for every pixel."""
        *stages, deepest = [stage.values for stage in self.encoder(x)]
        y = deepest
        for hidden in self.hidden:
            y = nnx.relu(hidden(y))
        y = self.score(y)
        for double, score, stage in zip(self.double, self.skips, stages[::-1], strict=False):
            y = double(y, output_size=stage.shape[1:-1]) + score(stage)
        return self.enlarge(y, output_size=x.shape[1:-1])


FCN32s = partial(FCN, skips=0)
FCN8s = partial(FCN, skips=2)
