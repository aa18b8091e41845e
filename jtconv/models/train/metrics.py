"""How good is it: mean intersection over union, and the Fréchet distance. NumPy only."""

from __future__ import annotations

import numpy as np


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
