"""Times of programs that take turns, so that noise of the machine falls on all alike."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from bench.program import Program

# One measurement lasts at least so long: shorter ones are mostly clock and dispatch.
ENOUGH_S = 0.02
# OpenMP's threads (torch's) spin for some milliseconds after their work, on cores the next needs.
SETTLE_S = 0.05
# The very first run of a program this slow counts: nothing warms up for longer.
SLOW_S = 1.0
# Ways of one contender so much slower than its best are not measured further.
HOPELESS = 1.6


@dataclass
class Runner:
    """A program on the track: its calls per measurement and its times so far, per problem."""

    contender: str
    way: str
    program: Program
    errors: dict[str, float]
    first_s: float
    times: list[float] = field(default_factory=list)
    inner: int = 1
    retired: bool = False

    def measure(self, calls: int) -> float:
        """Seconds per problem over ``calls`` calls, after one that warms the caches."""
        serial = self.program.serial
        start = time.perf_counter()
        for turn in range(calls):
            outputs = self.program.call(turn)
            if serial:
                self.program.wait(outputs)
        self.program.wait(outputs)
        return (time.perf_counter() - start) / (calls * self.program.calls)

    def calibrate(self) -> None:
        """Find how many calls make one measurement; the checker made the first call."""
        time.sleep(SETTLE_S)
        self.times = [self.first_s if self.first_s > SLOW_S else self.measure(1)]
        if self.times[0] < ENOUGH_S:
            again = self.measure(3)
            self.inner = int(min(max(ENOUGH_S / again / self.program.calls, 1), 1000))
            self.times = []

    def median(self) -> float:
        """The middle of its times."""
        return float(np.median(self.times))

    @property
    def best(self) -> float:
        """The fastest time yet."""
        return min(self.times)

    def round(self) -> None:
        """One more sample, once the threads of whoever ran before have gone to sleep."""
        time.sleep(SETTLE_S)
        if self.inner > 1:
            self.measure(1)
        self.times.append(self.measure(self.inner))

    def spent(self) -> float:
        """Seconds of clock used so far."""
        return sum(self.times) * self.inner * self.program.calls


def race(runners: list[Runner], rounds: int, budget_s: float) -> None:
    """Rounds in rotated order; who has used up its budget, or is hopeless, sits out."""
    for runner in runners:
        runner.calibrate()
        if not runner.times:
            runner.round()
    for turn in range(rounds):
        _retire(runners)
        for offset in range(len(runners)):
            runner = runners[(turn + offset) % len(runners)]
            if not runner.retired and runner.spent() < budget_s:
                runner.round()


def _retire(runners: list[Runner]) -> None:
    for runner in runners:
        rivals = [r.best for r in runners if r.contender == runner.contender]
        runner.retired = runner.best > HOPELESS * min(rivals)


def summary(times: list[float]) -> dict[str, float | int]:
    """Median and the spread from the 10th to the 90th percentile."""
    low, middle, high = np.percentile(times, (10, 50, 90))
    return {"median_s": middle, "p10_s": low, "p90_s": high, "runs": len(times)}
