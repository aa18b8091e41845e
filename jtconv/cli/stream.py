"""``jtconv stream``: a codec's decoder fed piece by piece, and its sound written as it comes."""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from jtconv.cli.console import Refusal, WrongUsage, check_device, keep_existing, refusals_shown

EPILOG = """
**Examples**

- `jtconv stream --out sound.wav` — with a codec that has learnt nothing

- `python -m jtconv.models.train codec --out runs/codec`, then
  `jtconv stream --run runs/codec --out sound.wav --frames 1,7,320`
"""


def run(
    out: Annotated[Path, typer.Option("--out", "-o", help="The WAV file to write.")],
    trained: Annotated[
        Path | None, typer.Option("--run", help="Folder of a trained codec; else untrained.")
    ] = None,
    frames: Annotated[
        str, typer.Option("--frames", help="Frames in a piece; several are compared.")
    ] = "1,7,320",
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=60)] = 4.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which melody.")] = 1000,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file to write.")] = False,
) -> None:
    """Encode a melody, decode it piece by piece, and compare with all at once.

    For each length of a piece: the time that one takes, how much faster than real time that is,
    the latency (the sound in one piece, which must be there before it can be decoded, and the time
    it takes), and the largest difference from the whole, whose loudest sample may be 1. The first
    length writes the WAV file, piece by piece.
    """
    lengths = _lengths(frames)
    with refusals_shown():
        check_device()
        keep_existing([out], force)
        codec, rate, sound = _codec(trained), *_melody(seed, seconds)
        z, whole = _whole(codec, sound)
        hop = whole.shape[0] // z.shape[1]
        typer.echo(f"{len(whole) / rate:.2f} s at {rate} Hz, {z.shape[1]} frames of {hop} samples")
        for length in lengths:
            with _wav(out, rate) if length == lengths[0] else nullcontext(_nowhere) as write:
                found, took = _decoded(codec.decoder, z, length, write)
            heard = min(length, z.shape[1]) * hop / rate
            typer.echo(
                f"{length:4} frames a piece: {1e3 * took:7.2f} ms, {heard / took:6.1f} x real "
                f"time, latency {1e3 * (heard + took):7.1f} ms, off by "
                f"{np.abs(found - whole).max():.1e}"
            )
        typer.echo(f"written {out}")


def _nowhere(_: np.ndarray) -> None:
    """Writes nothing."""


def _lengths(frames: str) -> list[int]:
    try:
        lengths = [int(word) for word in frames.split(",")]
    except ValueError:
        lengths = [0]
    if min(lengths) < 1:
        raise typer.BadParameter(
            f"must be whole numbers >= 1 between commas, got {frames!r}.", param_hint="--frames"
        )
    return lengths


def _melody(seed: int, seconds: float) -> tuple[int, np.ndarray]:
    from jtconv.models.train import sounds

    return sounds.RATE, sounds.melody(seed, seconds)


def _codec(folder: Path | None) -> Any:
    """The codec of a run, or one that has learnt nothing."""
    from flax import nnx

    from jtconv.models import Codec

    if folder is None:
        typer.echo("no --run: this codec has learnt nothing, and its sound is noise", err=True)
        return Codec(rngs=nnx.Rngs(0))
    if not (folder / "checkpoints").is_dir():
        raise Refusal(f"{folder} holds no run of python -m jtconv.models.train codec.")
    from jtconv.models.train.codec import Coding
    from jtconv.models.train.trainer import Checkpoints

    graph, variables = nnx.split(Coding(nnx.Rngs(0)))
    try:
        found = Checkpoints(folder / "checkpoints").newest(like=variables)
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(f"{folder} holds the run of something else than a codec.") from error
    if found is None:
        raise Refusal(f"{folder} holds no checkpoint yet.")
    return nnx.merge(graph, found.variables).codec


def _whole(codec: Any, sound: np.ndarray) -> tuple[Any, np.ndarray]:
    """What the decoder is given, ``(1, frames, latent)``, and all that it makes of it at once."""
    import jax.numpy as jnp
    from flax import nnx

    hop = int(
        np.prod([layer.strides for layer in codec.encoder.layers if hasattr(layer, "strides")])
    )
    whole = sound[: len(sound) // hop * hop]
    if not len(whole):
        raise WrongUsage(f"--seconds must be more: a frame has {hop} samples.")
    z = nnx.jit(lambda codec, x: codec.latents(codec.encode(x)))(
        codec, jnp.asarray(whole)[None, :, None]
    )
    return z, np.asarray(nnx.jit(lambda decoder, z: decoder(z))(codec.decoder, z))[0, :, 0]


def _decoded(
    decoder: Any, z: Any, length: int, write: Callable[[np.ndarray], None]
) -> tuple[np.ndarray, float]:
    """The sound of all pieces, and the time that a whole one takes, in seconds."""
    from flax import nnx

    from jtconv.nnx import reset, stream

    piecewise = stream(decoder, 1)
    step = nnx.jit(lambda decoder, z: decoder(z))
    for piece in _pieces(z, length):  # compiled for each length that occurs
        step(piecewise, piece)
    reset(piecewise)
    found, times = [], []
    for piece in _pieces(z, length):
        start = time.perf_counter()
        samples = np.asarray(step(piecewise, piece))[0, :, 0]
        times.append(time.perf_counter() - start)
        found.append(samples)
        write(samples)
    return np.concatenate(found), float(np.median(times[:-1] or times))


def _pieces(z: Any, length: int) -> Iterator[Any]:
    for start in range(0, z.shape[1], length):
        yield z[:, start : start + length]


@contextmanager
def _wav(path: Path, rate: int) -> Iterator[Callable[[np.ndarray], None]]:
    """A mono file of 16-bit samples, and how to make it longer."""
    try:
        with path.open("wb") as place, wave.open(place, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            yield lambda piece: file.writeframes(
                np.rint(piece.clip(-1, 1) * 32767).astype("<i2").tobytes()
            )
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror or error}.") from None
