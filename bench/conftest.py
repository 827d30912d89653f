"""Options and fixtures of the benchmarks."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

sys.path.insert(0, str(Path(__file__).parent))

from subject import Subject

from xaibench.metrics.cost import Cost, measured


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench-size", default="584x565", help="height x width of the picture, px (default: as in DRIVE)")


@pytest.fixture(scope="session")
def subject(pytestconfig: pytest.Config) -> Subject:
    height, width = map(int, pytestconfig.getoption("--bench-size").split("x"))
    found = Subject((height, width))
    found.yardstick(rounds=10)
    return found


@pytest.fixture
def once(benchmark: BenchmarkFixture, subject: Subject) -> Callable[..., Any]:
    """Run something once; its time, passes and memory are kept beside the length of a pass then and there."""

    def run(function: Callable[[], Any], **more: Any) -> Any:
        scorer, costs = subject.scorer, [Cost()]
        before = subject.yardstick()
        passes, gradients = subject.passes, subject.gradients

        def measure() -> Any:
            with measured(scorer) as costs[0]:
                return function()

        found = benchmark.pedantic(measure, rounds=1, iterations=1)
        benchmark.extra_info.update(
            wall=costs[0].seconds,
            passes=subject.passes - passes,
            gradients=subject.gradients - gradients,
            peak_mb=costs[0].peak_mb,
            **more,
        )
        pass_, gradient = (a + b for a, b in zip(before, subject.yardstick(), strict=True))
        benchmark.extra_info.update(
            pass_seconds=statistics.median(pass_),
            gradient_seconds=statistics.median(gradient),
            best_pass_seconds=min(pass_),
            best_gradient_seconds=min(gradient),
        )
        return found

    return run
