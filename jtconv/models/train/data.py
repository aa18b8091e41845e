"""What is learnt from, and what is held out: handwritten digits, alone or pasted on photographs.

A scene is digits pasted on a photograph, with the name of the digit at every pixel, composed when
it is needed from a random key, so a key is all that has to be remembered of a batch. Held-out
scenes are made of digits and of parts of the photographs that no training scene shows.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jtconv import extras

with extras.needs("train"):
    from sklearn.datasets import load_digits, load_sample_images
    from sklearn.model_selection import train_test_split

HELD_OUT = 600  # digits of 1797; the same ones in every run
SIZE = 48  # pixels a side of a scene
CLASSES = 11  # background, then the digits 0 to 9
_MAGNIFIED = (2.25, 3.0)  # a digit is 8 cells wide, a scene has one in each half
_APART = (0.15, 0.45)  # from the mean colour beneath, in each channel
_SEEN = 0.7  # the left part of each photograph is learnt from, the rest held out


class Digits(NamedTuple):
    """Ink between 0 and 1, ``(count, 8, 8)``, and the digits' names, ``(count,)``."""

    ink: np.ndarray
    names: np.ndarray


@cache
def digits() -> tuple[Digits, Digits]:
    """Digits to learn from and held-out digits, each name in both in proportion.

    >>> [len(part.ink) for part in digits()]
    [1197, 600]
    """
    found = load_digits()
    ink = (found.images / 16).astype(np.float32)
    names = found.target.astype(np.int32)
    parts = train_test_split(ink, names, test_size=HELD_OUT, stratify=names, random_state=0)
    return Digits(parts[0], parts[2]), Digits(parts[1], parts[3])


def resized(ink: ArrayLike, size: int) -> jax.Array:
    """Digits ``(count, 8, 8)`` as pictures ``(count, size, size, 1)`` in -1 .. 1."""
    ink = jnp.asarray(ink)
    pictures = jax.image.resize(ink, (len(ink), size, size), "linear")
    return 2 * jnp.clip(pictures, 0, 1)[..., None] - 1


class Photographs(NamedTuple):
    """Digits, and the photographs to paste them on: ``(count, height, width, 3)`` in 0 .. 1."""

    digits: Digits
    photographs: np.ndarray


class Scenes(NamedTuple):
    """Pictures ``(batch, SIZE, SIZE, 3)`` in 0 .. 1 and classes ``(batch, SIZE, SIZE)``."""

    pictures: jax.Array
    classes: jax.Array


@cache
def photographs() -> tuple[Photographs, Photographs]:
    """What training scenes are made of, and what held-out scenes are made of."""
    found = np.stack(load_sample_images().images).astype(np.float32) / 255
    border = int(_SEEN * found.shape[2])
    seen, held_out = digits()
    return (
        Photographs(seen, found[:, :, :border]),
        Photographs(held_out, found[:, :, border:]),
    )


def scenes(key: jax.Array, source: Photographs, count: int) -> Scenes:
    """``count`` scenes of this key."""
    return jax.vmap(lambda key: Scenes(*_scene(key, source)))(jax.random.split(key, count))


def _scene(key: jax.Array, source: Photographs) -> tuple[jax.Array, jax.Array]:
    backdrop, *digits = jax.random.split(key, 3)
    picture = _crop(backdrop, jnp.asarray(source.photographs))
    classes = jnp.zeros((SIZE, SIZE), jnp.int32)
    for half, key in enumerate(digits):
        picture, classes = _paste(key, source.digits, half, picture, classes)
    return picture, classes


def _crop(key: jax.Array, photographs: jax.Array) -> jax.Array:
    """A square of one of the photographs, as it is or flipped."""
    which, down, right, flipped = jax.random.split(key, 4)
    count, height, width, _ = photographs.shape
    start = (
        jax.random.randint(which, (), 0, count),
        jax.random.randint(down, (), 0, height - SIZE + 1),
        jax.random.randint(right, (), 0, width - SIZE + 1),
        0,
    )
    square = jax.lax.dynamic_slice(photographs, start, (1, SIZE, SIZE, 3))[0]
    return jnp.where(jax.random.bernoulli(flipped), square[:, ::-1], square)


def _paste(
    key: jax.Array, digits: Digits, half: int, picture: jax.Array, classes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One digit in one half of the scene, coloured to differ from what lies under it."""
    which, place, colour = jax.random.split(key, 3)
    number = jax.random.randint(which, (), 0, len(digits.ink))
    ink = _placed(place, jnp.asarray(digits.ink)[number], half)
    cover = ink[..., None]
    below = (cover * picture).sum((0, 1)) / cover.sum((0, 1))
    apart = jax.random.uniform(colour, (3,), jnp.float32, *_APART)
    dye = below + jnp.where(below < 0.5, apart, -apart)
    picture = picture * (1 - cover) + dye * cover
    return picture, jnp.where(ink > 0.5, jnp.asarray(digits.names)[number] + 1, classes)


def _placed(key: jax.Array, ink: jax.Array, half: int) -> jax.Array:
    """A digit magnified and moved to a random place in the left (0) or right (1) half."""
    size, place = jax.random.split(key)
    scale = jax.random.uniform(size, (), jnp.float32, *_MAGNIFIED)
    free = jnp.array([SIZE, SIZE // 2], jnp.float32) - 8 * scale
    corner = jax.random.uniform(place, (2,), jnp.float32) * free
    corner += jnp.array([0, half * SIZE // 2], jnp.float32)
    large = jax.image.scale_and_translate(
        ink, (SIZE, SIZE), (0, 1), jnp.stack([scale, scale]), corner, "linear", antialias=False
    )
    return jnp.clip(large, 0, 1)
