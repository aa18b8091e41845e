"""The layers we measure: every one from a published network, at its true channel counts.

``small`` shrinks batch and space until two CPU cores need a few milliseconds; ``true`` is the
size the network runs at, for accelerators.  Channels, kernels and strides are never changed,
since they decide which method wins.  Padding is in torch's convention, as the sources have it.
"""

from __future__ import annotations

import fnmatch
import math
from dataclasses import dataclass
from typing import Literal

from jtconv.problem.geometry import Geometry

SizeName = Literal["small", "true"]
Size = tuple[int, ...]  # batch, then space


@dataclass(frozen=True)
class Case:
    """One layer: ``kernel``, ``stride`` and the like hold for each of its spatial axes."""

    name: str
    source: str
    channels: tuple[int, int]
    kernel: int
    stride: int
    small: Size
    true: Size
    padding: int = 0
    output_padding: int = 0
    groups: int = 1
    dilation: int = 1
    trim: int = 0  # cells that the network slices off the end of the layer's output
    channels_first: bool = False
    steps: int = 1  # more than one: a lax.scan over so many slices of the batch

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.true) - 1

    @property
    def crops(self) -> tuple[int, int]:
        """``(lo, hi)`` of every axis."""
        return self.padding, self.padding - self.output_padding + self.trim

    def size(self, name: SizeName) -> Size:
        """Batch and space of the input."""
        return self.small if name == "small" else self.true

    def geometry(self, size: SizeName) -> Geometry:
        """The law's integers for this layer."""
        space = self.size(size)[1:]
        kernel, stride, dilation = (
            (value,) * self.rank for value in (self.kernel, self.stride, self.dilation)
        )
        crops = (self.crops,) * self.rank
        return Geometry.of(space, kernel, stride, dilation, crops, self.groups)

    def shapes(self, size: SizeName) -> tuple[Size, Size, Size]:
        """x, w and y, channels last, the kernel as ``(*kernel, C_in // groups, C_out)``."""
        batch, *space = self.size(size)
        c, o = self.channels
        y = (batch, *self.geometry(size).y_size, o)
        return (batch, *space, c), (self.kernel,) * self.rank + (c // self.groups, o), y

    def multiply_adds(self, size: SizeName) -> int:
        """Useful products of one side: none with an inserted zero, none cropped away."""
        c, o = self.channels
        return self.size(size)[0] * self.geometry(size).multiply_adds * (c // self.groups) * o

    def numbers(self, size: SizeName) -> int:
        """Numbers in x, w and y together: what must move at least once."""
        return sum(math.prod(shape) for shape in self.shapes(size))


_DCGAN = "pytorch/examples dcgan/main.py _netG"
_FCN8 = "shelhamer/fcn.berkeleyvision.org voc-fcn8s/net.py"
_FCN32 = "shelhamer/fcn.berkeleyvision.org voc-fcn32s (dense in the prototxt)"
_FCN_BILINEAR = "the same upsampling with one bilinear kernel a class, as many ports have it"
_UNET = "milesial/Pytorch-UNet unet/unet_parts.py Up"
_HIFIGAN = "jik876/hifi-gan models.py Generator.ups, config V1"
_ENCODEC = "facebookresearch/encodec modules/seanet.py SEANetDecoder, 24 kHz, causal trim"
_DAC = "descript-audio-codec dac/model/dac.py DecoderBlock, 44 kHz"
_NNUNET = "MIC-DKFZ/dynamic-network-architectures unet_decoder.py, 3-D 128^3"
_SAM = "facebookresearch/segment-anything mask_decoder.py output_upscaling"
_VITDET = "detectron2 backbone/vit.py SimpleFeaturePyramid, ViT-B 1024^2"
_DPT = "LiheYoung/Depth-Anything depth_anything/dpt.py resize_layers, ViT-L 518^2"
_POSE = "microsoft/human-pose-estimation.pytorch pose_resnet.py, 256x192"
_CENTERNET = "xingyizhou/CenterNet pose_dla_dcn.py IDAUp (depthwise)"
_STRESS = "no network: "

CASES = (
    Case("dcgan1", _DCGAN, (100, 512), 4, 1, (64, 1, 1), (64, 1, 1)),
    Case("dcgan2", _DCGAN, (512, 256), 4, 2, (8, 4, 4), (64, 4, 4), 1),
    Case("dcgan3", _DCGAN, (256, 128), 4, 2, (8, 8, 8), (64, 8, 8), 1),
    Case("dcgan4", _DCGAN, (128, 64), 4, 2, (8, 16, 16), (64, 16, 16), 1),
    Case("dcgan5", _DCGAN, (64, 3), 4, 2, (16, 32, 32), (64, 32, 32), 1),
    Case("fcn8s_upscore2", _FCN8, (21, 21), 4, 2, (1, 16, 16), (1, 16, 16)),
    Case("fcn8s_pool4", _FCN8, (21, 21), 4, 2, (1, 34, 34), (1, 34, 34)),
    Case("fcn8s_upscore8", _FCN8, (21, 21), 16, 8, (1, 35, 35), (1, 70, 70)),
    Case("fcn8s_bilinear", _FCN_BILINEAR, (21, 21), 16, 8, (1, 70, 70), (1, 70, 70), groups=21),
    Case("fcn32s", _FCN32, (21, 21), 64, 32, (1, 8, 8), (1, 16, 16)),
    Case("fcn32s_bilinear", _FCN_BILINEAR, (21, 21), 64, 32, (1, 16, 16), (1, 16, 16), groups=21),
    Case("unet1", _UNET, (1024, 512), 2, 2, (1, 10, 15), (1, 40, 60)),
    Case("unet2", _UNET, (512, 256), 2, 2, (1, 20, 30), (1, 80, 120)),
    Case("unet3", _UNET, (256, 128), 2, 2, (1, 40, 60), (1, 160, 240)),
    Case("unet4", _UNET, (128, 64), 2, 2, (1, 80, 120), (1, 320, 480)),
    Case(
        "stylegan2",
        "NVlabs/stylegan3 torch_utils/ops/conv2d_resample.py (k3 s2, the FIR follows)",
        (256, 128),
        3,
        2,
        (1, 32, 32),
        (8, 128, 128),
    ),
    Case(
        "pix2pix",
        "junyanz/pytorch-CycleGAN-and-pix2pix UnetGenerator, inner decoder",
        (256, 64),
        4,
        2,
        (1, 32, 32),
        (1, 64, 64),
        1,
    ),
    Case("hifigan1", _HIFIGAN, (512, 256), 16, 8, (4, 32), (1, 800), 4),
    Case("hifigan2", _HIFIGAN, (256, 128), 16, 8, (4, 128), (1, 6400), 4),
    Case("hifigan3", _HIFIGAN, (128, 64), 4, 2, (4, 2048), (1, 51200), 1),
    Case("hifigan4", _HIFIGAN, (64, 32), 4, 2, (4, 4096), (1, 102400), 1),
    Case("encodec1", _ENCODEC, (512, 256), 16, 8, (1, 75), (1, 75), trim=8),
    Case("encodec2", _ENCODEC, (256, 128), 10, 5, (1, 600), (1, 600), trim=5),
    Case("encodec3", _ENCODEC, (128, 64), 8, 4, (1, 3000), (1, 3000), trim=4),
    Case("encodec4", _ENCODEC, (64, 32), 4, 2, (1, 12000), (1, 12000), trim=2),
    Case("dac1", _DAC, (1536, 768), 16, 8, (1, 16), (1, 860), 4),
    Case("dac2", _DAC, (768, 384), 16, 8, (1, 64), (1, 6880), 4),
    Case("dac3", _DAC, (384, 192), 8, 4, (1, 512), (1, 55040), 2),
    Case("dac4", _DAC, (192, 96), 4, 2, (1, 4096), (1, 220160), 1),
    Case("nnunet1", _NNUNET, (320, 320), 2, 2, (2, 4, 4, 4), (2, 4, 4, 4)),
    Case("nnunet2", _NNUNET, (320, 256), 2, 2, (1, 8, 8, 8), (2, 8, 8, 8)),
    Case("nnunet3", _NNUNET, (256, 128), 2, 2, (1, 10, 10, 10), (2, 16, 16, 16)),
    Case("nnunet4", _NNUNET, (128, 64), 2, 2, (1, 16, 16, 16), (2, 32, 32, 32)),
    Case("nnunet5", _NNUNET, (64, 32), 2, 2, (1, 24, 24, 24), (2, 64, 64, 64)),
    Case("sam1", _SAM, (256, 64), 2, 2, (1, 64, 64), (16, 64, 64)),
    Case("sam2", _SAM, (64, 32), 2, 2, (1, 128, 128), (16, 128, 128)),
    Case("vitdet1", _VITDET, (768, 384), 2, 2, (1, 16, 16), (1, 64, 64)),
    Case("vitdet2", _VITDET, (384, 192), 2, 2, (1, 32, 32), (1, 128, 128)),
    Case("dpt1", _DPT, (256, 256), 4, 4, (1, 16, 16), (1, 37, 37)),
    Case("dpt2", _DPT, (512, 512), 2, 2, (1, 16, 16), (1, 37, 37)),
    Case(
        "maskrcnn",
        "detectron2 roi_heads/mask_head.py MaskRCNNConvUpsampleHead",
        (256, 256),
        2,
        2,
        (6, 14, 14),
        (100, 14, 14),
    ),
    Case("pose1", _POSE, (2048, 256), 4, 2, (1, 8, 6), (32, 8, 6), 1),
    Case("pose2", _POSE, (256, 256), 4, 2, (2, 16, 12), (32, 16, 12), 1),
    Case("pose3", _POSE, (256, 256), 4, 2, (1, 16, 24), (32, 32, 24), 1),
    Case("centernet2", _CENTERNET, (64, 64), 4, 2, (4, 64, 64), (16, 64, 64), 1, groups=64),
    Case("centernet4", _CENTERNET, (64, 64), 8, 4, (4, 32, 32), (16, 32, 32), 2, groups=64),
    Case(
        "vae",
        "the VAE upsampling of ROCm/MIOpen issue 3952",
        (512, 256),
        3,
        2,
        (1, 16, 16),
        (1, 128, 128),
        1,
        1,
    ),
    Case(
        "nchw",
        _STRESS + "channels first",
        (128, 64),
        4,
        2,
        (4, 16, 16),
        (64, 32, 32),
        1,
        channels_first=True,
    ),
    Case(
        "nchw_scan",
        _STRESS + "channels first inside lax.scan",
        (64, 32),
        4,
        2,
        (8, 16, 16),
        (64, 32, 32),
        1,
        channels_first=True,
        steps=4,
    ),
    Case(
        "groups4", _STRESS + "four groups", (128, 128), 4, 2, (4, 16, 16), (64, 32, 32), 1, groups=4
    ),
    Case("stride1", _STRESS + "k7 s1", (64, 64), 7, 1, (1, 32, 32), (16, 64, 64), 3),
    Case(
        "dilated", _STRESS + "k3 s2 d2", (64, 64), 3, 2, (4, 32, 32), (16, 64, 64), 2, 1, dilation=2
    ),
    Case("fft40", _STRESS + "one channel, k40", (1, 1), 40, 1, (1, 60, 60), (1, 60, 60)),
    Case(
        "fft65",
        _STRESS + "one channel, k65, same size",
        (1, 1),
        65,
        1,
        (1, 128, 128),
        (1, 128, 128),
        32,
    ),
    Case("fft100", _STRESS + "one channel, k100", (1, 1), 100, 1, (1, 150, 150), (1, 150, 150)),
    Case("fft4096", _STRESS + "one channel, 1-D k4096", (1, 1), 4096, 1, (1, 16384), (1, 16384)),
    Case(
        "depthwise31",
        _STRESS + "depthwise k31",
        (64, 64),
        31,
        1,
        (1, 64, 64),
        (1, 64, 64),
        15,
        groups=64,
    ),
    Case("volume4", _STRESS + "3-D k4 s2", (64, 32), 4, 2, (2, 8, 8, 8), (2, 32, 32, 32), 1),
    Case("volume3", _STRESS + "3-D k3 s2", (64, 32), 3, 2, (1, 12, 12, 12), (2, 32, 32, 32), 1, 1),
)

# One of each regime: RGB, k = s, k = 2s, k3 s2, audio, 3-D, depthwise, large kernel, layout.
QUICK = (
    "dcgan5", "unet3", "pose2", "stylegan2", "hifigan3", "nnunet4", "centernet2",
    "fcn8s_upscore8", "nchw_scan",
)  # fmt: skip


def select(patterns: list[str], suite: str) -> list[Case]:
    """The cases whose names match any of ``patterns``, or all of a suite where there are none."""
    if not patterns:
        return [case for case in CASES if suite == "full" or case.name in QUICK]
    chosen = [c for c in CASES if any(fnmatch.fnmatchcase(c.name, p) for p in patterns)]
    if not chosen:
        raise ValueError(f"no case matches {patterns}; there are {[c.name for c in CASES]}")
    return chosen
