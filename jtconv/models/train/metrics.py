"""How good is it: mean intersection over union, the Fréchet distance, and what to compare with.

Nets that name pixels must beat one threshold on colour, which is helped twice: it is the best one
for the very scenes it is judged on, and every pixel it finds is given the name of the nearest true
digit. Generated digits are judged by the features of a small classifier.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from jax.typing import ArrayLike

from jtconv import extras
from jtconv.models.train import data

with extras.needs("train"):
    from scipy.ndimage import distance_transform_edt
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

_THRESHOLDS = np.linspace(0.02, 0.98, 49)
_FEATURES, _ROUNDS = 64, 30  # of the classifier


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """How often a pixel of class ``row`` was called ``column``: ``(classes, classes)`` counts.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = classes * truth.astype(np.int64).ravel() + found.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mean_iou(counts: np.ndarray) -> float:
    """Intersection over union of each class, averaged over those that occur at all.

    Everingham et al., "The PASCAL visual object classes challenge" (2010).

    >>> mean_iou(np.array([[1, 1], [0, 1]]))
    0.5
    """
    common = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - common
    return float(np.mean(common[either > 0] / either[either > 0]))


def by_threshold(pictures: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Classes ``(batch, height, width)``: a pixel far from the median colour is a digit."""
    median = np.median(pictures, axis=(1, 2), keepdims=True)
    distance = np.abs(pictures - median).mean(-1)
    best = max(_THRESHOLDS, key=lambda t: mean_iou(confusion(classes > 0, distance > t, 2)))
    return np.where(distance > best, np.stack([_nearest(scene) for scene in classes]), 0)


def _nearest(classes: np.ndarray) -> np.ndarray:
    """The name of the nearest digit, for every pixel of one scene."""
    place = distance_transform_edt(classes == 0, return_distances=False, return_indices=True)
    names: np.ndarray = classes[tuple(place)]
    return names


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Between the normal distributions fitted to two sets of features, ``(count, width)``.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))``: Dowson and Landau (1982); for generated
    pictures by Heusel et al. (arXiv:1706.08500).

    >>> frechet_distance(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    9.0
    """
    means = one.mean(0) - other.mean(0)
    first, second = (np.atleast_2d(np.cov(part, rowvar=False)) for part in (one, other))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(means @ means + np.trace(first) + np.trace(second) - 2 * cross)


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
        return np.asarray(np.maximum(hidden, 0))

    def chances(self, pictures: ArrayLike) -> np.ndarray:
        """How sure it is of each digit: ``(count, 10)``."""
        return np.asarray(self.layers.predict_proba(_flat(pictures)))


@cache
def classifier(size: int) -> Classifier:
    """Trained, in seconds, on the digits that are learnt from, resized to ``size``."""
    seen, held_out = data.digits()
    layers = MLPClassifier((_FEATURES,), alpha=1e-2, max_iter=_ROUNDS, random_state=0)
    with warnings.catch_warnings():  # of rounds that end before the loss stands still
        warnings.simplefilter("ignore", ConvergenceWarning)
        layers.fit(_flat(data.resized(seen.ink, size)), seen.names)
    accuracy = layers.score(_flat(data.resized(held_out.ink, size)), held_out.names)
    return Classifier(layers, float(accuracy))


def _flat(pictures: ArrayLike) -> np.ndarray:
    flat = np.asarray(pictures, np.float32)
    return flat.reshape(len(flat), -1)
