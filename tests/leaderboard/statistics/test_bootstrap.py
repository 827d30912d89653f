"""Bootstrap intervals against resampling one image at a time, scipy and theory."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from xaibench.leaderboard.statistics import bootstrap


def test_the_bootstrap_interval_against_index_resampling() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 20))
    weights = bootstrap.resample_weights(20, seed=1, resamples=500)
    counts = np.rint(20 * weights.T).astype(int)
    assert counts.shape == (500, 20) and (counts.sum(1) == 20).all()
    means = [[np.repeat(row, c).mean() for c in counts] for row in x]
    np.testing.assert_allclose(bootstrap.interval(x, weights), np.percentile(means, [2.5, 97.5], axis=1))


def test_the_bootstrap_interval_is_that_of_scipy() -> None:
    """Other random resamples of the same data: the ends agree to a small part of the interval's width."""
    x = np.random.default_rng(5).gamma(2, size=20)
    rng = np.random.default_rng(6)
    expected = scipy.stats.bootstrap(
        (x,), np.mean, n_resamples=10_000, method="percentile", rng=rng
    ).confidence_interval
    (low,), (high,) = bootstrap.interval(x[None], bootstrap.resample_weights(20, seed=7))
    width = expected.high - expected.low
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def test_the_interval_has_the_width_that_theory_gives() -> None:
    """The bootstrap's standard error of the mean is σ̂ / √n with the population σ̂."""
    x = np.random.default_rng(0).normal(size=(1, 100))
    low, high = bootstrap.interval(x, bootstrap.resample_weights(100, seed=1))
    assert (high - low)[0] == pytest.approx(2 * 1.96 * x.std() / 10, rel=0.03)


def test_one_image_and_missing_values_have_no_interval() -> None:
    weights = bootstrap.resample_weights(1, seed=0)
    assert np.isnan(bootstrap.interval(np.ones((2, 1)), weights)).all()
    weights = bootstrap.resample_weights(3, seed=0)
    low, high = bootstrap.interval(np.array([[1, np.nan, 1], [2, 2, 2]]), weights)
    assert np.isnan([low[0], high[0]]).all() and (low[1], high[1]) == pytest.approx((2, 2))


def test_who_asks_alike_has_the_same_weights() -> None:
    assert bootstrap.resample_weights(23, 5) is bootstrap.resample_weights(23, 5)
    assert (bootstrap.resample_weights(23, 5) != bootstrap.resample_weights(23, 6)).any()
