"""``jtconv stream``: the WAV file is the sound, and wrong options are refused in one line."""

from __future__ import annotations

import wave

import pytest
from flax import nnx
from typer.testing import CliRunner

from jtconv import models
from jtconv.cli import app, stream


def called(*words):
    return CliRunner().invoke(app, ["stream", *map(str, words)])


@pytest.fixture
def small(monkeypatch):
    """A codec that compiles in no time."""
    codec = models.Codec(2, (2, 3), (1,), 3, rngs=nnx.Rngs(0))
    monkeypatch.setattr(stream, "_codec", lambda folder: codec)


@pytest.mark.usefixtures("small")
def test_a_file_is_written_piece_by_piece(tmp_path):
    out = tmp_path / "sound.wav"
    result = called("--out", out, "--seconds", 0.1, "--frames", "33,100")
    assert result.exit_code == 0, result.output
    with wave.open(str(out)) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (798, 8000, 1)
        assert len(set(file.readframes(798))) > 8
    rows = [line for line in result.output.splitlines() if "frames a piece" in line]
    assert len(rows) == 2
    assert all(float(row.rsplit(" ", 1)[1]) < 1e-5 for row in rows)
    again = called("--out", out)
    assert again.exit_code == 1 and "exists already" in again.output


@pytest.mark.usefixtures("small")
def test_a_folder_that_is_not_there(tmp_path):
    """One line, and no complaint of a half-opened file, which would be an error here."""
    result = called("--out", tmp_path / "none" / "sound.wav", "--seconds", 0.1, "--frames", "33")
    assert result.exit_code == 1
    assert "cannot write" in result.output and "No such file" in result.output


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--frames", "0"], 2, "whole numbers >= 1"),
        (["--frames", "1,x"], 2, "whole numbers >= 1"),
        (["--run", "/nowhere"], 1, "holds no run of python -m jtconv.models.train codec"),
    ],
)
def test_wrong_options(words, status, message, tmp_path):
    result = called("--out", tmp_path / "sound.wav", *words)
    assert result.exit_code == status
    assert message in " ".join(result.output.replace("│", " ").split())
    assert not list(tmp_path.iterdir())
