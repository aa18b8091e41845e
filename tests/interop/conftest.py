"""What the tests of other frameworks' words stand on."""

from __future__ import annotations

import os

import pytest

from jtconv import api

# Before anybody imports Keras, which would look for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")


@pytest.fixture(autouse=True)
def quick_method(monkeypatch):
    """Crops and layouts are under test here, not methods: take those that compile fastest."""
    parse = api.parse_method

    def parsed(method):
        return parse(("dilated", "vjp", "scatter") if method == "auto" else method)

    monkeypatch.setattr(api, "parse_method", parsed)
