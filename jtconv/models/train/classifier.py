"""A small classifier of digits: the judge of generated ones."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from jax.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from jtconv.models.train.digits import enlarged, split

_FEATURES = 64
_ROUNDS = 30


@dataclass(frozen=True)
class Classifier:
    """One hidden layer, on pictures ``(count, size, size, 1)`` in -1 .. 1.

    Attributes:
        accuracy: share of the held-out digits that it names rightly.
    """

    layers: MLPClassifier
    accuracy: float

    def features(self, pictures: ArrayLike) -> np.ndarray:
        """What the hidden layer makes of pictures: ``(count, 64)``."""
        hidden = _flat(pictures) @ self.layers.coefs_[0] + self.layers.intercepts_[0]
        return np.maximum(hidden, 0)

    def chances(self, pictures: ArrayLike) -> np.ndarray:
        """How sure it is of each digit: ``(count, 10)``."""
        return self.layers.predict_proba(_flat(pictures))


@cache
def classifier(size: int) -> Classifier:
    """Trained, in seconds, on the digits that are learnt from, enlarged to ``size``."""
    seen, held_out = split()
    layers = MLPClassifier((_FEATURES,), alpha=1e-2, max_iter=_ROUNDS, random_state=0)
    with warnings.catch_warnings():  # of rounds that end before the loss stands still
        warnings.simplefilter("ignore", ConvergenceWarning)
        layers.fit(_flat(enlarged(seen.ink, size)), seen.names)
    accuracy = layers.score(_flat(enlarged(held_out.ink, size)), held_out.names)
    return Classifier(layers, float(accuracy))


def _flat(pictures: ArrayLike) -> np.ndarray:
    flat = np.asarray(pictures, np.float32)
    return flat.reshape(len(flat), -1)
