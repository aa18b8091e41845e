"""Arrays to picture files, keeping the mode and the depth wherever the format can."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from jtconv.cli.console import Refusal
from jtconv.cli.picture import DTYPES, Picture

# What each format gives back as it was written.  Asked for more, Pillow may refuse, but may as
# well clip 16 bits to 8, drop the opacity or shrink the picture without a word.
HOLDS = {
    "AVIF": ["RGB", "RGBA"],
    "BMP": ["1", "L", "RGB"],
    "GIF": ["1", "L", "RGB", "RGBA"],
    "JPEG": ["L", "RGB", "CMYK"],
    "JPEG2000": ["L", "LA", "RGB", "RGBA", "CMYK", "I;16"],
    "PNG": ["1", "L", "LA", "RGB", "RGBA", "I;16"],
    "PPM": ["1", "L", "RGB", "I;16", "F"],
    "QOI": ["RGB", "RGBA"],
    "TGA": ["L", "LA", "RGB", "RGBA"],
    "TIFF": ["1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F"],
    "WEBP": ["RGB", "RGBA"],
}
# What to take, the first that is held, where the mode itself is not.
INSTEAD = {
    "1": ["L", "RGB"],
    "L": ["RGB"],
    "LA": ["RGBA", "L", "RGB"],
    "RGBA": ["RGB"],
    "CMYK": ["RGB"],
    "YCbCr": ["RGB"],
    "I;16": ["L", "RGB"],
}
KEEPS_EXIF = {"JPEG", "PNG", "WEBP", "AVIF"}
KEEPS_PROFILE = KEEPS_EXIF | {"TIFF"}


def writable_format(path: Path) -> str | None:
    """Pillow's name for the format of a file so named, if it is one to write."""
    name = Image.registered_extensions().get(path.suffix.lower())
    return name if name in HOLDS and name in Image.SAVE else None


def encode(picture: Picture, path: Path) -> tuple[bytes, str, tuple[str, ...]]:
    """The bytes of a file so named, the mode they are in, and what could not be kept."""
    format_name = writable_format(path)
    if format_name is None:
        raise Refusal(f"{path.name} has no ending of a picture format; try .png, .jpg or .tif.")
    modes = [picture.mode, *INSTEAD.get(picture.mode, [])]
    mode = next((m for m in modes if m in HOLDS[format_name]), None)
    if mode is None:
        raise Refusal(f"{format_name} cannot hold mode {picture.mode}; try .tif.")
    try:
        data = _encoded(_converted(_put_together(picture), mode), format_name, picture)
    except (OSError, ValueError) as error:  # too large for the format, for one
        raise Refusal(f"{path.name} cannot be written: {error}.") from None
    return data, mode, tuple(_losses(picture.mode, mode, format_name))


def _losses(mode: str, written: str, format_name: str) -> Iterator[str]:
    if written != mode:
        yield f"{format_name} cannot hold mode {mode}: it is written as {written}"
    if format_name == "GIF" and written.startswith("RGB"):
        yield "GIF holds 256 colours, and pixels either clear or opaque"


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


def _put_together(picture: Picture) -> Image.Image:
    height, width, _ = picture.planes.shape
    if picture.mode == "1":
        black_or_white = np.where(picture.planes >= 128, 255, 0).astype(np.uint8)
        return Image.frombytes("L", (width, height), black_or_white.tobytes()).convert("1")
    planes = picture.planes.astype(DTYPES.get(picture.mode, "u1"), copy=False)
    return Image.frombytes(picture.mode, (width, height), planes.tobytes())


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode == "I;16":
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.mode in ("LA", "RGBA") and mode in ("L", "RGB"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)
