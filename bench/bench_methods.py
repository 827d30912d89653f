"""Every explainer and every metric at its defaults, as multiples of a pass."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from subject import Subject

import xaibench as xb
from xaibench import registry
from xaibench.explainers.explain import explain
from xaibench.metrics.method import Method
from xaibench.registry import Plugin, Spec

METRICS = [m for m in registry.available("metric")[0] if m.traits.measures != "cost"]


@pytest.mark.parametrize("method", registry.available("explainer")[0], ids=lambda p: p.name)
def test_explainer(once: Callable[..., Any], subject: Subject, method: Plugin) -> None:
    case, scorer = subject.case, subject.scorer
    try:
        map_ = once(
            lambda: xb.explain(scorer, case.image, method=method, case=case), kind="explainer", name=method.name
        )
    except xb.Skipped as reason:
        pytest.skip(str(reason))
    assert torch.isfinite(map_).all()


@pytest.mark.parametrize("metric", METRICS, ids=lambda p: p.name)
def test_metric(once: Callable[..., Any], subject: Subject, metric: Plugin) -> None:
    """Of saliency's map. What methods share on an image is made by the first metric that needs it, as in a run."""
    case, scorer = subject.case, subject.scorer
    spec = registry.parse("explainer", "saliency")
    map_ = scorer.cache.get(explain, scorer, case.image, method=str(spec)).numpy()
    arguments = {"attribution": map_, "case": case, "scorer": scorer, "method": Method(spec, partial(_map, 0))}
    try:
        score = once(lambda: Spec(metric)(**arguments, rng=np.random.default_rng(0)), kind="metric", name=metric.name)
    except xb.Skipped as reason:
        pytest.skip(str(reason))
    assert np.isfinite(score.value)


def _map(seed: int, scorer: xb.Scorer, image: torch.Tensor, spec: Spec, case: xb.Case) -> torch.Tensor:
    return explain(scorer, image, method=spec, seed=seed, case=case)
