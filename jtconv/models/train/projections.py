"""What the features of a segmenter's encoder look for, projected back to pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from jtconv.models.stage import frozen
from jtconv.models.train.pictures import contrast, grid
from jtconv.models.train.recipe import Results
from jtconv.models.train.scenes import Photographs
from jtconv.models.train.segmentation import Segmenter, centred, judged
from jtconv.models.vgg import VGG
from jtconv.models.zeiler_fergus import project

_SEARCHED = 64  # scenes
_STAGE = 2
_SHOWN = 8  # features


class Transparent(Segmenter):
    """A segmenter whose net has an encoder that can be looked into."""

    def judge(self, seen: Photographs, held_out: Photographs) -> Results:
        """As any segmenter, and a picture of what the encoder has learnt to see."""
        results = super().judge(seen, held_out)
        net: Any = self.net
        pictures, _ = judged(held_out)
        picture = features(net.encoder, pictures[:_SEARCHED])
        return Results(results.metrics, {**results.pictures, "features": picture})


def features(encoder: VGG, pictures: np.ndarray) -> Image.Image:
    """The liveliest features: above the picture that excites each most, below what it saw there."""
    peaks = np.asarray(frozen(encoder)(centred(pictures))[_STAGE].values.max((1, 2)))
    channels = np.argsort(-peaks.max(0))[:_SHOWN]
    shown = pictures[peaks[:, channels].argmax(0)]
    patterns = [
        np.asarray(project(encoder, centred(picture[None]), _STAGE, int(channel)))[0]
        for picture, channel in zip(shown, channels, strict=True)
    ]
    return grid([shown, contrast(np.stack(patterns))])
