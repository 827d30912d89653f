import math

import numpy as np
import pytest
import torch
from made_up import draw_eye, green_scorer

from xaibench.conformance.metric_subjects import method
from xaibench.errors import Skipped
from xaibench.metrics.complexity import effective_complexity, entropy, sparseness
from xaibench.metrics.ground_truth.completeness import completeness

EYE = draw_eye()
FOV = EYE.fov.numpy()
N = int(FOV.sum())


def value(metric: object, values: np.ndarray) -> float:
    map_ = np.full(FOV.shape, 99.0, np.float32)  # what lies outside must not count
    map_[FOV] = values
    return float(metric(map_, EYE, None, rng=None).value)  # type: ignore[operator]


@pytest.mark.parametrize("share", [1, 10, 500])
def test_of_k_equal_pixels_all_three_are_known(share: int) -> None:
    values = np.zeros(N)
    values[:share] = 2.0
    assert value(sparseness, values) == pytest.approx(1 - share / N)
    assert value(entropy, values) == pytest.approx(math.log(share), abs=1e-9)
    assert value(effective_complexity, values) == share


def test_gini_by_its_definition() -> None:
    """Mean absolute difference of all pairs ÷ twice the mean."""
    values = np.random.default_rng(0).exponential(size=N)
    pairs = np.abs(values[:, None] - values[None]).mean()
    assert value(sparseness, values) == pytest.approx(pairs / (2 * values.mean()), rel=1e-5)


def test_sparseness_looks_at_what_speaks_for_and_the_others_at_the_size() -> None:
    values = np.random.default_rng(1).normal(size=N)
    assert value(sparseness, values) == pytest.approx(value(sparseness, np.maximum(values, 0)))
    assert value(entropy, values) == pytest.approx(value(entropy, np.abs(values)))
    assert value(effective_complexity, values) == (np.abs(values) > 0.1 * np.abs(values).max()).sum()


@pytest.mark.parametrize("constant", [0.0, 3.0, -3.0])
def test_a_constant_map_is_as_complex_as_can_be(constant: float) -> None:
    values = np.full(N, constant)
    assert value(sparseness, values) == 0
    assert value(entropy, values) == pytest.approx(math.log(N))
    assert value(effective_complexity, values) == N


def test_completeness_is_how_far_the_sum_misses() -> None:
    scorer, by = green_scorer(EYE), method("integrated-gradients[steps=4,baseline=zero]")
    map_ = by(scorer, EYE)
    exact = float(scorer(EYE.image[None])[0] - scorer(torch.zeros_like(EYE.image)[None])[0])
    assert map_.sum() == pytest.approx(exact, rel=1e-4)  # green alone is read, and linearly
    for factor in (1.0, 1.5, 0.0):
        found = completeness(factor * map_, EYE, scorer, rng=None, method=by).value
        assert found == pytest.approx(abs(1 - factor), abs=1e-4)


def test_a_method_that_promises_nothing_is_skipped() -> None:
    with pytest.raises(Skipped, match="the method promises no sum"):
        completeness(np.zeros(FOV.shape), EYE, green_scorer(EYE), rng=None, method=method("saliency"))
