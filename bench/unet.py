"""A whole model, as it is and accelerated: ``python -m bench.unet``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import typer
from flax import nnx

from bench.program import JaxProgram
from bench.timing import Runner, interleave, summary
from jtconv.nnx import accelerate


class UNet(nnx.Module):
    """Ronneberger, Fischer and Brox (arXiv:1505.04597), with sizes kept: scores for every pixel."""

    def __init__(self, widths: Sequence[int], classes: int, *, rngs: nnx.Rngs):
        def double(before: int, after: int) -> nnx.Sequential:
            first = nnx.Conv(before, after, (3, 3), rngs=rngs)
            return nnx.Sequential(first, nnx.relu, nnx.Conv(after, after, (3, 3), rngs=rngs))

        self.down = nnx.List([double(a, b) for a, b in pairwise((3, *widths))])
        ups = list(pairwise(widths[::-1]))
        self.upsample = nnx.List([nnx.ConvTranspose(a, b, (2, 2), 2, rngs=rngs) for a, b in ups])
        self.up = nnx.List([double(2 * b, b) for _, b in ups])
        self.score = nnx.Conv(widths[0], classes, (1, 1), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``(batch, height, width, 3)`` to ``(batch, height, width, classes)``."""
        skips = []
        for double in self.down:
            x = double(x)
            skips.append(x)
            x = nnx.max_pool(x, (2, 2), (2, 2))
        x = skips.pop()
        for upsample, double in zip(self.upsample, self.up, strict=True):
            x = double(jnp.concatenate([skips.pop(), upsample(x)], -1))
        scores: jax.Array = self.score(x)
        return scores


def programs(model: UNet, x: jax.Array) -> dict[str, JaxProgram]:
    """The model's scores, and the gradients of a loss by every parameter."""
    graph, state = nnx.split(model)

    def forward(state: Any, x: jax.Array) -> tuple[jax.Array]:
        return (nnx.merge(graph, state)(x),)

    def training(state: Any, x: jax.Array) -> tuple[Any]:
        return (jax.grad(lambda state: jnp.mean(forward(state, x)[0] ** 2))(state),)

    return {f.__name__: JaxProgram(f, [(state, x)], lambda _: {}) for f in (forward, training)}


def bench(
    width: int = 64, levels: int = 5, size: int = 128, batch: int = 1, rounds: int = 7
) -> None:
    """Time a U-Net of Flax's layers, before and after jtconv.nnx.accelerate, taking turns."""
    widths = [width * 2**level for level in range(levels)]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(batch, size, size, 3)), jnp.float32)
    model = UNet(widths, 4, rngs=nnx.Rngs(0))
    theirs = programs(model, x)
    ours = programs(accelerate(model), x)
    print(f"U-Net {widths}, {batch} x {size} x {size}, float32, {jax.devices()[0].device_kind}")
    for mode in theirs:
        runners = []
        for name, program in (("flax", theirs[mode]), ("jtconv", ours[mode])):
            start = time.perf_counter()
            program.wait(program.call(0))
            runners.append(Runner(name, mode, program, {}, time.perf_counter() - start))
        interleave(runners, rounds, budget_s=60)
        flax, jtconv = (summary(runner.times)["median_s"] for runner in runners)
        print(f"{mode:9} flax {flax * 1e3:8.1f} ms   jtconv {jtconv * 1e3:8.1f} ms", end="   ")
        print(f"{flax / jtconv:.2f} times faster")


if __name__ == "__main__":
    typer.run(bench)
