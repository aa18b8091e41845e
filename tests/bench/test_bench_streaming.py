"""A vocoder in pieces: answers are looked at, and the report is one of the others."""

from __future__ import annotations

from functools import cache

import jax.numpy as jnp
import pytest
from flax import nnx

from bench import cli, report, streaming, summary, table, timing
from jtconv.models import HiFiGAN

FRAMES = 16
SIZES = 4, 4, (2,), (4,), (3,), ((1,),)


def generator(*_, **__):
    return HiFiGAN(*SIZES, padding="CAUSAL", rngs=nnx.Rngs(0))


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE_S", 0.0)
    monkeypatch.setattr(timing, "ENOUGH_S", 1e-4)
    monkeypatch.setattr(streaming, "HiFiGAN", generator)
    monkeypatch.setattr(streaming, "MELS", 4)
    monkeypatch.setattr(streaming, "PIECES", (1, 4))
    monkeypatch.setattr(streaming, "WIDTHS", {"small": 4})


@cache
def found():
    return streaming.run(rounds=1, frames=FRAMES)


def test_a_report_of_every_length(tmp_path):
    results = found()
    assert [row["frames"] for row in results["rows"]] == [1, 4]
    held = {row["state_bytes"] for row in results["rows"]}
    assert len(held) == 1 and held.pop() > 0
    for row in results["rows"]:
        cells = row["cells"]
        assert cells.keys() == {"jtconv", "piece alone", "window", "whole"}
        share = cells["whole"]["least_s"] * row["frames"] / FRAMES
        assert row["ratio"] == pytest.approx(cells["jtconv"]["least_s"] / share)
        assert row["error"] < 1e-5
    console = table.console()
    with console.capture() as capture:
        report.finish(results, console, tmp_path / "run.json", None, False)
        assert report.load(tmp_path / "run.json") == results
        assert report.compare(console, results, results) == 0
    assert "4 of 16 frames" in capture.get()
    with pytest.raises(ValueError, match="--streaming has none"):
        report.finish(results, console, None, tmp_path / "plot", False)


def test_windows_begin_where_samples_depend_on_nothing_before(rng):
    model, mel = generator(), jnp.asarray(rng.normal(size=(1, FRAMES, 4)), "float32")
    seen = found()["rows"][0]["frames_seen"]
    assert 1 < seen < FRAMES
    last = nnx.jit(lambda model, mel: model(mel)[:, -2:])
    whole, enough, short = (last(model, mel[:, -count:]) for count in (FRAMES, seen, seen - 1))
    off, more = (float(jnp.abs(y - whole).max() / jnp.abs(whole).max()) for y in (enough, short))
    assert off < 1e-6 < more


def test_other_samples_are_a_fault():
    row = found()["rows"][0] | {"error": float("nan")}
    row |= streaming.shares(row, {("whole", FRAMES): row["cells"]["whole"]}, FRAMES)
    assert len(summary.faults([row])) == 1
    console = table.console()
    with console.capture() as capture:
        console.print(table.streaming([row]))
    assert "WRONG" in capture.get()


def test_pieces_that_begin_again_are_seen(rng):
    model, mel = generator(), jnp.asarray(rng.normal(size=(1, FRAMES, 4)), "float32")
    whole = streaming.program(model, mel).call(0)[0]
    assert streaming.largest_error(streaming.program(model, mel[:, :5]), mel, whole) > 0.01


def test_the_command_calls_it(monkeypatch):
    rounds = []

    def run(count):
        rounds.append(count)
        return {
            "schema": 1,
            "machine": {},
            "plan": {"suite": "streaming"},
            "limits": {},
            "rows": [],
        }

    monkeypatch.setattr(streaming, "run", run)
    monkeypatch.setattr("sys.argv", ["bench", "--streaming", "--rounds", "3"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert rounds == [3] and not end.value.code
