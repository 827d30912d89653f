"""What each explainer costs on a phantom, as multiples of one pass; ``make bench``."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import xaibench as xb
from xaibench import registry
from xaibench.registry import Plugin

SIZE = 256


@pytest.fixture(scope="module")
def case() -> xb.Case:
    return xb.load_cases(f"phantom[size={SIZE}]", count=1)[0]


@pytest.fixture(scope="module")
def scorer(case: xb.Case) -> xb.Scorer:
    model = xb.load_model("unet-phantom")
    scorer = xb.Scorer(model, xb.target("vessels", model, case))
    scorer.probability(case.image[None])  # finds its micro-batch and memory format
    return scorer


def test_one_pass(benchmark: BenchmarkFixture, scorer: xb.Scorer, case: xb.Case) -> None:
    """The unit of all the others."""
    benchmark(lambda: scorer.probability(case.image[None]))


@pytest.mark.parametrize("method", registry.available("explainer")[0], ids=lambda p: p.name)
def test_explainer(benchmark: BenchmarkFixture, scorer: xb.Scorer, case: xb.Case, method: Plugin) -> None:
    """At default parameters."""
    before = scorer.passes
    try:
        map_ = benchmark.pedantic(
            lambda: xb.explain(scorer, case.image, method=method, case=case), rounds=1, iterations=1
        )
    except xb.Skipped as reason:
        pytest.skip(str(reason))
    benchmark.extra_info["passes"] = scorer.passes - before
    assert torch.isfinite(map_).all()
