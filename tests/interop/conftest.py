"""What the tests of other frameworks share."""

from __future__ import annotations

import os

import pytest

from jtconv import api
from tests.interop import law

# Before anybody imports Keras, which would look for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")


@pytest.fixture
def in_numpy(monkeypatch):
    """Crops and layouts are under test, hundreds of times: let NumPy do the sums."""
    monkeypatch.setattr(api, "conv_transpose", law.conv_transpose)
