"""Did every test run?  What was collected, compared with what ran.

    python -m tests.ran FOLDER...

Each folder is of one environment: ``collected`` lists its tests as ``pytest --collect-only -q``
prints them, and every other file is what one run with JTCONV_RAN=FILE wrote there. All that was
collected must have run, in one run or another. What every environment skipped is counted by reason,
and with ``--all`` in front of the folders each reason must be one of ``NOWHERE``.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

# Reasons that hold in every environment of CI.
NOWHERE = (
    "no GPU is at hand",
    "takes no integers",
    "the table of algorithms knows them all",
    "lax answers with an empty array",
    "cannot write this",
    "onnxruntime refuses this node",
)


class Recorder:
    """Writes a line for each test that ends: its outcome, its id, and why it was skipped."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and not report.passed):
            outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            reason = " ".join(reason.split())
            with self.file.open("a", encoding="utf-8") as file:
                file.write(f"{outcome}\t{report.nodeid}\t{reason}\n")


def record(config: pytest.Config) -> None:
    """Begin to write, where JTCONV_RAN says; workers' reports come back to one process."""
    file = os.environ.get("JTCONV_RAN")
    if file and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(file))


def collected(text: str) -> set[str]:
    """The ids in what ``pytest --collect-only -q`` printed."""
    return {line.strip() for line in text.splitlines() if re.match(r"\S+\.py::", line)}


def outcomes(text: str) -> dict[str, tuple[str, str]]:
    """The outcome of each id in what a `Recorder` wrote, and why it was skipped."""
    lines = (line.split("\t") for line in text.splitlines())
    return {test: (outcome, reason) for outcome, test, reason in lines}


def differences(expected: set[str], ran: set[str]) -> list[str]:
    """What was collected and did not run, and the other way round."""
    lines = [f"did not run: {test}" for test in sorted(expected - ran)]
    return lines + [f"ran, and was not collected: {test}" for test in sorted(ran - expected)]


def skipped_everywhere(runs: Iterable[dict[str, tuple[str, str]]]) -> dict[str, str]:
    """The tests that no run did more than skip, and every run's reason."""
    skipped: dict[str, str] = {}
    done: set[str] = set()
    for run in runs:
        for test, (outcome, why) in run.items():
            if outcome == "skipped" and why not in skipped.get(test, ""):
                skipped[test] = "; ".join(filter(None, (skipped.get(test), why)))
        done |= {test for test, (outcome, _) in run.items() if outcome != "skipped"}
    return {test: why for test, why in skipped.items() if test not in done}


def main(words: list[str]) -> int:
    """The comparison of each folder, and of all together."""
    every = words[:1] == ["--all"]
    runs, troubles = [], []
    for folder in map(Path, words[every:]):
        expected = collected((folder / "collected").read_text(encoding="utf-8"))
        files = [path for path in sorted(folder.iterdir()) if path.name != "collected"]
        found = [outcomes(path.read_text(encoding="utf-8")) for path in files]
        ran = {test for run in found for test in run}
        print(f"{folder.name}: {len(ran)} ran of {len(expected)} tests, in {len(found)} runs")
        troubles += [f"{folder.name}: {line}" for line in differences(expected, ran)]
        if not expected:
            troubles.append(f"{folder.name}: nothing was collected")
        runs += found
    skipped = skipped_everywhere(runs)
    for reason, number in Counter(skipped.values()).most_common():
        print(f"skipped: {number} {reason}")
    if every:
        known = re.compile("|".join(map(re.escape, NOWHERE)))
        unknown = [test for test, reason in sorted(skipped.items()) if not known.search(reason)]
        troubles += [f"skipped everywhere: {test}: {skipped[test]}" for test in unknown]
    print(*troubles, sep="\n")
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
