"""Bootstrap intervals; :mod:`leaderboard.test_aggregate` holds them against plain loops."""

import numpy as np
import pytest

from xaibench.leaderboard.statistics import bootstrap


def test_one_image_and_missing_values_have_no_interval() -> None:
    weights = bootstrap.resample_weights(1, seed=0)
    assert np.isnan(bootstrap.interval(np.ones((2, 1)), weights)).all()
    weights = bootstrap.resample_weights(3, seed=0)
    low, high = bootstrap.interval(np.array([[1, np.nan, 1], [2, 2, 2]]), weights)
    assert np.isnan([low[0], high[0]]).all() and (low[1], high[1]) == pytest.approx((2, 2))


def test_who_asks_alike_has_the_same_weights() -> None:
    assert bootstrap.resample_weights(23, 5) is bootstrap.resample_weights(23, 5)
    assert (bootstrap.resample_weights(23, 5) != bootstrap.resample_weights(23, 6)).any()
