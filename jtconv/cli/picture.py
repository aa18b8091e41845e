"""Picture files to arrays, in a mode whose numbers mean amounts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from jtconv.cli.console import Refusal

# Modes whose bands may be blended as they are.  Others are converted to one of them.
DTYPES = {"I;16": "<u2", "I": "=i4", "F": "=f4"}
BLENDABLE = {"1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", *DTYPES}


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
    """The first frame of a picture file, turned the way up its EXIF orientation says."""
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
                return _taken_apart(image)
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


def _taken_apart(image: Image.Image) -> Picture:
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
