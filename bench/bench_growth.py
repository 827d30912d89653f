"""Time grows in proportion to images, methods and steps, and the reading commands start at once."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import xaibench as xb

# Dear enough to be seen beside the controls, which every run has: each one's map takes some fifty passes.
METHODS = [f"integrated-gradients[steps={n}]" for n in (50, 51, 52, 53)]
SIZES = (1, 2, 4)
ROUNDS = 2  # of which the quicker one counts: a machine is not equally fast at all times
LIMITS = {"--help": 0.3, "list explainers": 0.5}  # seconds


def run(folder: Path, *, images: int = 1, methods: int = 1, steps: int = 20) -> None:
    """A run of small phantoms; nothing of an earlier one is kept."""
    asked = {"data": "phantom[size=256]", "cases": images, "metrics": [f"srg[fill=blur,steps={steps}]"]}
    xb.run(METHODS[:methods], **asked, out=folder)


GROWTHS: dict[str, Callable[[Path, int], None]] = {
    "images": lambda folder, n: run(folder, images=n),
    "methods": lambda folder, n: run(folder, methods=n),
    "steps": lambda folder, n: run(folder, steps=10 * n),
}


@pytest.mark.parametrize("what", GROWTHS)
def test_linear_growth(benchmark: BenchmarkFixture, tmp_path: Path, what: str) -> None:
    """What is added from two to four is twice what is added from one to two."""
    run(tmp_path / "warm", methods=len(METHODS))  # imports what they need
    rounds: list[list[float]] = []

    def measure() -> None:
        rounds.append([])
        for n in SIZES:
            start = time.perf_counter()
            GROWTHS[what](tmp_path / f"{what}-{n}-{len(rounds)}", n)
            rounds[-1].append(time.perf_counter() - start)

    benchmark.pedantic(measure, rounds=ROUNDS, iterations=1)
    seconds = [min(each) for each in zip(*rounds, strict=True)]
    one, two, four = seconds
    benchmark.extra_info.update(kind="growth", name=what, shares=[s / one for s in seconds])
    assert four - two == pytest.approx(2 * (two - one), rel=0.5)


@pytest.mark.parametrize("words", LIMITS)
def test_start(benchmark: BenchmarkFixture, words: str) -> None:
    command = [sys.executable, "-m", "xaibench", *words.split()]
    subprocess.run(command, check=True, capture_output=True)  # compiles what is not compiled yet
    benchmark.pedantic(lambda: subprocess.run(command, check=True, capture_output=True), rounds=5, iterations=1)
    benchmark.extra_info.update(kind="start", name=words, within=LIMITS[words])
    assert benchmark.stats.stats.min <= LIMITS[words]
