"""Arrays to picture files, keeping the mode and the depth wherever the format can."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from jtconv.cli.console import Refusal
from jtconv.cli.picture import DTYPES, Picture

# The deep modes, and the formats that hold them: others would clip or wrap without a word.
DEEP_FORMATS = {"I;16": {"PNG", "TIFF", "PPM", "JPEG2000"}, "I": {"TIFF"}, "F": {"TIFF"}}
# What to try, in this order, where a format cannot hold the mode.
INSTEAD = {
    "1": ["L", "RGB"],
    "L": ["RGB"],
    "LA": ["RGBA", "L", "RGB"],
    "RGBA": ["RGB"],
    "CMYK": ["RGB"],
    "YCbCr": ["RGB"],
    "I;16": ["L"],
}
KEEPS_EXIF = {"JPEG", "PNG", "WEBP", "AVIF"}
KEEPS_PROFILE = KEEPS_EXIF | {"TIFF"}


def writable_format(path: Path) -> str | None:
    """Pillow's name for the format of a file so named, if it can write it."""
    name = Image.registered_extensions().get(path.suffix.lower())
    return name if name in Image.SAVE else None


def encode(picture: Picture, path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a file so named, and what could not be kept."""
    format_name = writable_format(path)
    if format_name is None:
        raise Refusal(f"{path.name} has no ending of a picture format; try .png, .jpg or .tif.")
    problem = f"{format_name} cannot hold mode {picture.mode}; try .tif"
    for image in _candidates(picture, format_name):
        try:
            data = _encoded(image, format_name, picture)
        except (OSError, ValueError, KeyError, SystemError) as error:
            problem = str(error)
            continue
        changed = f"{format_name} cannot hold mode {picture.mode}: written as {image.mode}"
        return data, () if image.mode == picture.mode else (changed,)
    raise Refusal(f"{path.name} cannot be written: {problem}.")


def _encoded(image: Image.Image, format_name: str, picture: Picture) -> bytes:
    extras: dict[str, object] = {"quality": 95} if format_name in ("JPEG", "WEBP", "AVIF") else {}
    if format_name in KEEPS_EXIF and picture.exif:
        extras["exif"] = picture.exif
    # A profile describes the numbers of one colour space: it must not outlive a conversion.
    if format_name in KEEPS_PROFILE and picture.profile and image.mode == picture.mode:
        extras["icc_profile"] = picture.profile
    file = io.BytesIO()
    image.save(file, format_name, **extras)
    return file.getvalue()


def _candidates(picture: Picture, format_name: str) -> Iterator[Image.Image]:
    """The picture in its own mode, then in the modes that come next to it."""
    if format_name in DEEP_FORMATS.get(picture.mode, {format_name}):
        yield _put_together(picture)
    for mode in INSTEAD.get(picture.mode, []):
        yield _converted(_put_together(picture), mode)


def _put_together(picture: Picture) -> Image.Image:
    height, width, _ = picture.planes.shape
    if picture.mode == "1":
        black_or_white = np.where(picture.planes >= 128, 255, 0).astype(np.uint8)
        return Image.frombytes("L", (width, height), black_or_white.tobytes()).convert("1")
    planes = picture.planes.astype(DTYPES.get(picture.mode, "u1"), copy=False)
    return Image.frombytes(picture.mode, (width, height), planes.tobytes())


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "I;16":
        eight_bits = np.rint(np.asarray(image) / 257).astype(np.uint8)
        return Image.fromarray(eight_bits)
    if image.mode in ("LA", "RGBA") and mode in ("L", "RGB"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)
