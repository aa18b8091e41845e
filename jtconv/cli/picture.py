"""Picture files to arrays and back, keeping mode and depth wherever the format can.

Arrays are in a mode whose numbers mean amounts, so that they may be blended.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jtconv.cli.console import Refusal, WrongUsage

# Modes whose bands may be blended as they are.  Others are converted to one of them.
DTYPES = {"I;16": "<u2", "I": "=i4", "F": "=f4"}
BLENDABLE = {"1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", *DTYPES}
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


@dataclass(frozen=True)
class Picture:
    """Numbers ``(height, width, bands)`` with what is needed to write them as they were read."""

    planes: np.ndarray
    mode: str
    exif: bytes = b""
    profile: bytes = b""
    notes: tuple[str, ...] = ()

    @property
    def has_alpha(self) -> bool:
        """Whether the last band tells how opaque the others are."""
        return self.mode in ("LA", "RGBA")


def read(path: Path, most_pixels: float) -> Picture:
    """The first frame of a picture file, the way up that its EXIF orientation tells."""
    if not path.exists():
        raise Refusal(f"there is no file {path}.")
    if not path.is_file():
        raise Refusal(f"{path} is a folder or a device, not a picture.")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large sizes, of which we have our own limit, and of odd metadata.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                _keep_within(image.size, most_pixels)
                return _decoded(image)
    except Refusal:
        raise
    except UnidentifiedImageError:
        raise Refusal(f"{path} is not a picture that Pillow can read.") from None
    except Exception as error:  # each of Pillow's decoders has its own ways to fail on bad bytes
        problem = str(error).rstrip(".") or type(error).__name__
        raise Refusal(f"{path} cannot be read as a picture: {problem}.") from None


def _keep_within(size: tuple[int, int], most_pixels: float) -> None:
    width, height = size
    if width * height > most_pixels:
        raise Refusal(
            f"the result of {width} x {height} pixels would pass the limit: "
            "choose a smaller --stride, or raise --limit if there is memory for it."
        )


def _decoded(image: Image.Image) -> Picture:
    notes, tile = [], getattr(image, "tile", [])
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"only the first of {image.n_frames} frames is taken")  # type: ignore[attr-defined]
    if image.mode in ("RGB", "RGBA") and any(";16" in str(part[-1]) for part in tile):
        notes.append("16 bits a colour are read as 8: Pillow knows deep greys only")
    image.load()
    image = ImageOps.exif_transpose(image)
    exif, profile = image.getexif().tobytes(), image.info.get("icc_profile") or b""
    flat = _blendable(image)
    if flat.mode != image.mode:
        notes.append(f"mode {image.mode} is taken as {flat.mode}")
    picture = Picture(_planes(flat), flat.mode, exif, profile, tuple(notes))
    return _as_16_bits(picture) if flat.mode == "I" and image.format != "TIFF" else picture


def _blendable(image: Image.Image) -> Image.Image:
    """The picture in a mode whose numbers mean amounts: no palette, no hidden transparency."""
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.asarray(image).astype("<u2"))
    if image.mode in ("La", "PA", "RGBa"):
        return image.convert({"La": "LA"}.get(image.mode, "RGBA"))
    if image.has_transparency_data and image.mode in ("1", "L"):
        return image.convert("LA")
    if image.has_transparency_data and image.mode != "LA":
        whole = image.convert("RGBA")
        # Animations mark a colour as clear for their later frames; this one may not use it.
        unused = image.mode == "P" and whole.getchannel("A").getextrema() == (255, 255)
        return whole.convert("RGB") if unused else whole
    return image if image.mode in BLENDABLE else image.convert("RGB")


def _planes(image: Image.Image) -> np.ndarray:
    planes = np.asarray(image.convert("L") if image.mode == "1" else image)
    return planes.reshape(image.height, image.width, -1)


def _as_16_bits(picture: Picture) -> Picture:
    """Pillow opens some 16-bit files as 32-bit integers; few formats could take those back."""
    if picture.planes.min() >= 0 and picture.planes.max() < 2**16:
        return replace(picture, planes=picture.planes.astype("<u2"), mode="I;16")
    return picture


def writable_format(path: Path) -> str | None:
    """Pillow's name for the format of a file so named, if it is one to write."""
    name = Image.registered_extensions().get(path.suffix.lower())
    return name if name in HOLDS and name in Image.SAVE else None


def export(picture: Picture, path: Path) -> tuple[bytes, str, tuple[str, ...]]:
    """The bytes of a file so named, the mode they are in, and what could not be kept."""
    format_name = writable_format(path)
    if format_name is None:
        raise WrongUsage(f"{path.name} has no ending of a picture format; try .png, .jpg or .tif.")
    modes = [picture.mode, *INSTEAD.get(picture.mode, [])]
    mode = next((m for m in modes if m in HOLDS[format_name]), None)
    if mode is None:
        raise Refusal(f"{format_name} cannot hold mode {picture.mode}; try .tif.")
    try:
        data = _bytes(_converted(_assembled(picture), mode), format_name, picture)
    except (OSError, ValueError) as error:  # too large for the format, for one
        raise Refusal(f"{path.name} cannot be written: {error}.") from None
    return data, mode, tuple(_losses(picture.mode, mode, format_name))


def _losses(mode: str, written: str, format_name: str) -> Iterator[str]:
    if written != mode:
        yield f"{format_name} cannot hold mode {mode}: it is written as {written}"
    if format_name == "GIF" and written.startswith("RGB"):
        yield "GIF holds 256 colours, and pixels either clear or opaque"


def _bytes(image: Image.Image, format_name: str, picture: Picture) -> bytes:
    options: dict[str, object] = {"quality": 95} if format_name in ("JPEG", "WEBP", "AVIF") else {}
    if format_name in KEEPS_EXIF and picture.exif:
        options["exif"] = picture.exif
    # A profile describes the numbers of one colour space: it must not outlive a conversion.
    if format_name in KEEPS_PROFILE and picture.profile and image.mode == picture.mode:
        options["icc_profile"] = picture.profile
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def _assembled(picture: Picture) -> Image.Image:
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
