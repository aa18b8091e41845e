"""Rates of the model that chooses on CPUs, fitted to measured times.

    python -m bench --fit bench/results/regret-cpu-*.json

Every row of a sweep (`bench.regret`) has the times of all algorithms on one task; each algorithm
says what it does there (`jtconv.algorithms.common.work`), and the rates are those not negative
numbers by which the sums are nearest to the times.  Near means by ratio: a time 20 % off counts
alike for a small layer and a large one; and what takes many times as long as the best counts less,
since it has only to stay behind.  An error that all algorithms of a row share (the machine was
disturbed, the operands were not in a cache) changes no choice, so it counts a fifth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from bench.candidates import Json, from_json
from bench.regret import load, measured
from jtconv.algorithms import ALGORITHMS
from jtconv.algorithms.algorithm import Modelled
from jtconv.algorithms.common.work import TERMS, Work
from jtconv.dispatch import rates
from jtconv.dispatch.model import UNTOLD

TOLERANCE = 0.3  # of the logarithm of a ratio: what is further off counts less than squared
PRIOR = 0.05  # how much a rate is held near its first guess, for want of rows that know better
PRIOR_KNOWN = 0.3  # the same where the other dtype's rate is the first guess
SHARED = 0.8  # the part of a row's shared error that does not count
LEAST_WEIGHT = 0.15

# What `explain` calls quantities, by how their names begin.
WORDS = {
    "matrix products": (
        "products",
        "grouped products",
        "dot products",
        "packed",
        "left",
        "results",
    ),
    "overlap-add": ("added", "multiplied and added"),
    "indexing": ("scattered", "gathered by index"),
    "copies": ("copied", "transposed", "gathered", "depth", "space", "written"),
    "transforms": ("transformed", "butterflies", "complex"),
    "one loop": ("loop", "row", "tile", "blocks of a loop"),
    "calls": ("calls", "blocks", "groups"),
    "XLA's convolution": (
        "swapped",
        "YNNPACK",
        "Eigen",
        "plain",
        "transposed conv",
        "kernel",
        "read and",
    ),
}

Fitted = dict[str, float]


@dataclass
class Samples:
    """Works, seconds and weights of algorithms, and how many of them each row has."""

    works: list[Work] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    of_row: list[int] = field(default_factory=list)

    def add(self, times: Mapping[str, float], works: Mapping[str, Work]) -> None:
        """A row: the times of its algorithms, and the works of those to fit."""
        best = min(times.values())
        for method, work in works.items():
            self.works.append(work)
            self.seconds.append(times[method])
            self.weights.append(weight(times[method], best))
        if works:
            self.of_row.append(len(works))

    def differences(self, errors: np.ndarray) -> np.ndarray:
        """Weighted ``errors``, without most of what those of a row have in common."""
        starts = np.cumsum([0, *self.of_row[:-1]])
        weights = np.array(self.weights).reshape(-1, *[1] * (errors.ndim - 1))
        shared = np.add.reduceat(weights**2 * errors, starts) / np.add.reduceat(weights**2, starts)
        return weights * (errors - SHARED * np.repeat(shared, self.of_row, axis=0))


def fit(samples: Samples, known: Fitted | None = None) -> Fitted:
    """Nanoseconds a unit of every quantity; ``known`` are those of a dtype with more rows."""
    names = sorted({name for work in samples.works for name, amount in work.items() if amount})
    amounts = np.array([[work.get(name, 0) for name in names] for work in samples.works]) * 1e-9
    logs = np.log(np.array(samples.seconds))
    # first guess: a third of the least time that the quantity could explain alone
    with np.errstate(divide="ignore"):
        alone = np.exp(logs)[:, None] / amounts
    guess = np.log(np.min(np.where(amounts > 0, alone, np.inf), axis=0) / 3)
    prior = np.full(len(names), PRIOR)
    for number, name in enumerate(names):
        if known and name in known:
            guess[number], prior[number] = math.log(known[name]), PRIOR_KNOWN

    def errors(theta: np.ndarray) -> np.ndarray:
        modelled = np.log(amounts @ np.exp(theta))
        return np.concatenate([samples.differences(modelled - logs), prior * (theta - guess)])

    def slopes(theta: np.ndarray) -> np.ndarray:
        rate = np.exp(theta)
        parts = amounts * rate / (amounts @ rate)[:, None]
        return np.concatenate([samples.differences(parts), np.diag(prior)])

    found = least_squares(errors, guess, slopes, loss="soft_l1", f_scale=TOLERANCE, max_nfev=300)
    return dict(zip(names, np.exp(found.x).tolist(), strict=True))


def weight(seconds: float, best: float) -> float:
    """1 for what is within twice the best, less for what is slower."""
    return math.sqrt(max(LEAST_WEIGHT, min(1.0, 2 * best / seconds)))


def samples(rows: Iterable[Json], dtype: str) -> Samples:
    """All modelled algorithms on the rows of one dtype; not those forms that no rate tells."""
    found = Samples()
    for row in rows:
        times, works = measured(row) if row["dtype"] == dtype else {}, {}
        for method in times:
            algorithm = ALGORITHMS[method]
            if isinstance(algorithm, Modelled):
                work = algorithm.work(from_json(row))
                work.pop(TERMS, None)
                if UNTOLD.isdisjoint(work):
                    works[method] = work
        if works:
            found.add(times, works)
    return found


def run(paths: Iterable[Path]) -> str:
    """Fit both dtypes to these files and rewrite `jtconv.dispatch.rates`; what was done."""
    rows = [row for path in paths for row in load(path)["rows"]]
    single = fit(samples(rows, "float32"))
    half = fit(samples(rows, "bfloat16"), known=single)
    new = {name: (single.get(name), half.get(name)) for name in (*single, *half)}
    old = {name: pair for group in rates.TABLE.values() for name, pair in group.items()}
    rewrite(Path(rates.__file__), {**old, **new})  # what no row of these files has is kept
    return f"{len(new)} rates fitted to {len(rows)} rows"


def rewrite(path: Path, new: dict[str, tuple[float | None, float | None]]) -> None:
    """Put these rates into the table; what no row knows of one dtype is that of the other."""
    head = path.read_text().split("TABLE:")[0]
    lines = ["TABLE: dict[str, dict[str, tuple[float, float]]] = {"]
    for word in WORDS:
        lines.append(f'    "{word}": {{')
        for name in sorted(new):
            if word_of(name) == word:
                single, half = new[name]
                rates_of = (single or half or 0.0, half or single or 0.0)
                lines.append(f'        "{name}": ({rates_of[0]:.3g}, {rates_of[1]:.3g}),')
        lines.append("    },")
    path.write_text("\n".join([head + lines[0], *lines[1:], "}", ""]))


def word_of(name: str) -> str:
    """What `explain` calls a quantity: by the longest beginning that it has."""
    known = {start: word for word, starts in WORDS.items() for start in starts}
    fitting = [start for start in known if name.startswith(start)]
    if not fitting:
        raise ValueError(f"no word for {name!r}: add it to WORDS")
    return known[max(fitting, key=len)]
