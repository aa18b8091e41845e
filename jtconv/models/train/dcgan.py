"""DCGAN draws digits that look handwritten."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jtconv import extras
from jtconv.models.blocks import frozen
from jtconv.models.dcgan import Discriminator, Generator
from jtconv.models.train.data import Digits, resized
from jtconv.models.train.metrics import classifier, frechet_distance
from jtconv.models.train.results import Results, grid
from jtconv.models.train.trainer import Recipe

with extras.needs("train"):
    import optax

SIZE, LATENT, BATCH = 16, 64, 64
SURE = 0.5  # a sample counts as a digit if the classifier is at least that sure of it
_ROWS, _COLUMNS, _SHOWN_LARGER = 5, 12, 2


class Adversaries(nnx.Module):
    """A generator, a discriminator, and an Adam for each; section 4 of the paper."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        like: dict[str, Any] = {"size": (SIZE, SIZE), "channels": 1, "kernel_size": 4}
        self.generator = Generator(LATENT, (96, 48), rngs=rngs, **like)
        self.discriminator = Discriminator((48, 96), rngs=rngs, **like)
        self.generator_optimizer = nnx.Optimizer(self.generator, _adam(), wrt=nnx.Param)
        self.discriminator_optimizer = nnx.Optimizer(self.discriminator, _adam(), wrt=nnx.Param)

    def learn(self, source: Digits, key: jax.Array) -> dict[str, jax.Array]:
        """The discriminator's turn, then the generator's, each with noise of its own."""
        which, *noise = jax.random.split(key, 3)
        chosen = jax.random.randint(which, (BATCH,), 0, len(source.ink))
        real = resized(source.ink[chosen], SIZE)
        first, second = (jax.random.normal(each, (BATCH, LATENT), jnp.float32) for each in noise)

        def caught(discriminator: Discriminator, forged: jax.Array) -> jax.Array:
            return _cross_entropy(discriminator(real), 1) + _cross_entropy(discriminator(forged), 0)

        def uncaught(generator: Generator, discriminator: Discriminator) -> jax.Array:
            return _cross_entropy(discriminator(generator(second)), 1)

        loss, gradient = nnx.value_and_grad(caught)(self.discriminator, self.generator(first))
        self.discriminator_optimizer.update(self.discriminator, gradient)
        other, gradient = nnx.value_and_grad(uncaught)(self.generator, self.discriminator)
        self.generator_optimizer.update(self.generator, gradient)
        return {"discriminator": loss, "generator": other}

    def judge(self, seen: Digits, held_out: Digits) -> Results:
        """Which digits the samples show, and how far they are from held-out ones."""
        count = len(held_out.ink)
        samples = self.samples(count)
        noise = jax.random.uniform(jax.random.key(2), samples.shape, jnp.float32, -1, 1)
        judge = classifier(SIZE)
        target = judge.features(resized(held_out.ink, SIZE))

        def distance(pictures: Any) -> float:
            return round(frechet_distance(judge.features(pictures), target), 3)

        shares, sure = _coverage(judge.chances(samples))
        metrics = {
            "classes_covered": int((shares > 0).sum()),
            "share_of_each_class": shares.round(3).tolist(),
            "share_recognised": round(sure, 3),
            "frechet_distance": distance(samples),
            "frechet_distance_of_real_digits": distance(resized(seen.ink[:count], SIZE)),
            "frechet_distance_of_noise": distance(noise),
            "classifier_accuracy": round(judge.accuracy, 4),
            "samples": count,
        }
        shown = (samples[: _ROWS * _COLUMNS] + 1) / 2
        shown = shown.repeat(_SHOWN_LARGER, 1).repeat(_SHOWN_LARGER, 2)
        return Results(metrics, {"samples": grid(np.split(shown, _ROWS))})

    def samples(self, count: int) -> np.ndarray:
        """Pictures of noise, the same noise in every run."""
        noise = jax.random.normal(jax.random.key(1), (count, LATENT), jnp.float32)
        return np.asarray(nnx.jit(lambda net, z: net(z))(frozen(self.generator), noise))


def _adam() -> optax.GradientTransformation:
    return optax.adam(2e-4, b1=0.5)


def _cross_entropy(logits: jax.Array, label: int) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, label)).mean()


def _coverage(chances: np.ndarray) -> tuple[np.ndarray, float]:
    """The share of the samples that clearly show each digit, and the share that show any."""
    sure = chances.max(1) >= SURE
    shares = np.bincount(chances.argmax(1)[sure], minlength=10) / len(chances)
    return shares, float(sure.mean())


RECIPE = Recipe(data="digits", begin=Adversaries, steps=2000)
