"""Bootstrap intervals against scipy."""

import numpy as np
import pytest
import scipy.stats

from xaibench.leaderboard.statistics import bootstrap


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


def test_one_image_and_missing_values_have_no_interval() -> None:
    weights = bootstrap.resample_weights(1, seed=0)
    assert np.isnan(bootstrap.interval(np.ones((2, 1)), weights)).all()
    weights = bootstrap.resample_weights(3, seed=0)
    low, high = bootstrap.interval(np.array([[1, np.nan, 1], [2, 2, 2]]), weights)
    assert np.isnan([low[0], high[0]]).all() and (low[1], high[1]) == pytest.approx((2, 2))


def test_who_asks_alike_has_the_same_weights() -> None:
    assert bootstrap.resample_weights(23, 5) is bootstrap.resample_weights(23, 5)
    assert (bootstrap.resample_weights(23, 5) != bootstrap.resample_weights(23, 6)).any()
