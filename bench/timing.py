"""Times of programs that take turns, so that noise of the machine falls on all alike."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from bench.program import Program

# One sample lasts at least so long: shorter ones are mostly clock and dispatch.
ENOUGH_S = 0.02
ENOUGH_UNROLLED_S = 0.01  # of a program that solves several problems in one call
# OpenMP's threads (torch's) spin for some milliseconds after their work, on cores the next needs.
SETTLE_S = 0.05
# The very first run of a program this slow counts: nothing warms up for longer.
SLOW_S = 1.0
# Variants of one implementation that are so many times slower than its best are not timed further.
TOO_SLOW = 1.6


@dataclass
class Runner:
    """A program with its calls per sample and its samples so far, in seconds per problem."""

    implementation: str
    variant: str
    program: Program
    errors: dict[str, float]
    first_s: float
    times: list[float] = field(default_factory=list)
    inner: int = 1
    dropped: bool = False

    def measure(self, calls: int) -> float:
        """Seconds per problem over ``calls`` calls."""
        serial = self.program.serial
        start = time.perf_counter()
        for turn in range(calls):
            outputs = self.program.call(turn)
            if serial:
                self.program.wait(outputs)
        self.program.wait(outputs)
        return (time.perf_counter() - start) / (calls * self.program.calls)

    def calibrate(self) -> None:
        """Find how many calls make one sample; whoever checked the answers made the first call."""
        self._settle()
        enough = ENOUGH_S if self.program.calls == 1 else ENOUGH_UNROLLED_S
        self.times = [self.first_s if self.first_s > SLOW_S else self.measure(1)]
        if self.times[0] < enough:
            again = self.measure(3)
            self.inner = int(min(max(enough / again / self.program.calls, 1), 1000))
            self.times = []

    def median(self) -> float:
        """The middle of its samples."""
        return float(np.median(self.times))

    @property
    def best(self) -> float:
        """The fastest sample yet."""
        return min(self.times)

    def sample(self) -> None:
        """One more sample, once the threads of whoever ran before have gone to sleep."""
        self._settle()
        if self.inner > 1:
            self.measure(1)  # warms the caches
        self.times.append(self.measure(self.inner))

    def _settle(self) -> None:
        """Threads on a CPU; on a device nothing else runs."""
        if self.program.serial:
            time.sleep(SETTLE_S)

    def spent(self) -> float:
        """Seconds of clock used so far."""
        return sum(self.times) * self.inner * self.program.calls


def interleave(runners: list[Runner], rounds: int, budget_s: float) -> None:
    """Rounds of samples in rotated order; who has used up its budget, or is too slow, sits out."""
    for runner in runners:
        runner.calibrate()
        if not runner.times:
            runner.sample()
    for turn in range(rounds):
        _drop(runners)
        for offset in range(len(runners)):
            runner = runners[(turn + offset) % len(runners)]
            if not runner.dropped and runner.spent() < budget_s:
                runner.sample()


def _drop(runners: list[Runner]) -> None:
    for runner in runners:
        variants = [r.best for r in runners if r.implementation == runner.implementation]
        runner.dropped = runner.best > TOO_SLOW * min(variants)


def summary(times: list[float]) -> dict[str, float | int]:
    """Median and the spread from the 10th to the 90th percentile."""
    low, middle, high = map(float, np.percentile(times, (10, 50, 90)))
    return {"median_s": middle, "p10_s": low, "p90_s": high, "runs": len(times)}
