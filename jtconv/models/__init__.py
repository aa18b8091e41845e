"""Networks that transposed convolution is known for, as ``flax.nnx`` modules.

Each file reads like the figure of its paper. ``python -m jtconv.models.train --help`` tells how
to train some of them on real data.
"""

from jtconv.models.blocks import ESP, IGC
from jtconv.models.codec import Codec
from jtconv.models.dcgan import Discriminator, Generator
from jtconv.models.deconvnet import DeconvNet
from jtconv.models.fcn import FCN, FCN8s, FCN32s
from jtconv.models.hifigan import HiFiGAN
from jtconv.models.unet import UNet
from jtconv.models.vgg import VGG, project

__all__ = [
    "ESP",
    "FCN",
    "IGC",
    "VGG",
    "Codec",
    "DeconvNet",
    "Discriminator",
    "FCN8s",
    "FCN32s",
    "Generator",
    "HiFiGAN",
    "UNet",
    "project",
]
