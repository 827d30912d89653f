"""Options and fixtures of the benchmarks."""

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
    with found.beside():  # warms up
        pass
    return found


@pytest.fixture
def once(benchmark: BenchmarkFixture, subject: Subject) -> Callable[..., Any]:
    """Run something once; its time, passes and memory are kept beside the length of a pass then and there."""

    def run(function: Callable[[], Any], **more: Any) -> Any:
        scorer, costs = subject.scorer, [Cost()]
        with subject.beside() as between:
            passes, gradients, scored = subject.passes, subject.gradients, scorer.passes

            def measure() -> Any:
                with measured(scorer) as costs[0]:
                    return function()

            found = benchmark.pedantic(measure, rounds=1, iterations=1)
            passes, gradients = subject.passes - passes, subject.gradients - gradients
            scored = scorer.passes - scored
        benchmark.extra_info.update(
            wall=costs[0].seconds - between.seconds,
            passes=max(passes, scored - gradients),  # a part of it is a pass, too
            gradients=gradients,
            peak_mb=costs[0].peak_mb,
            pass_seconds=statistics.median(between.passes),
            gradient_seconds=statistics.median(between.gradients),
            best_pass_seconds=min(between.passes),
            best_gradient_seconds=min(between.gradients),
            **more,
        )
        return found

    return run
