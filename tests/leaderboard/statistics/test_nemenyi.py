import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.synthetic import aggregate, records
from xaibench.leaderboard.statistics import nemenyi


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 9), st.integers(2, 60))
def test_the_distribution_is_that_of_scipy(q: float, k: int) -> None:
    assert nemenyi.studentized_range_cdf(q, k) == pytest.approx(
        scipy.stats.studentized_range.cdf(q, k, np.inf), abs=1e-8
    )


@pytest.mark.parametrize("alpha", [0.05, 0.10])
@pytest.mark.parametrize("k", [*range(2, 11), 28, 50])
def test_the_quantile_is_that_of_scipy(k: int, alpha: float) -> None:
    expected = scipy.stats.studentized_range.ppf(1 - alpha, k, np.inf)
    assert nemenyi.studentized_range_quantile(k, alpha) == pytest.approx(expected, abs=1e-5)


def test_the_published_critical_differences() -> None:
    """Demšar (2006), section 3.2.4: 4 classifiers on 14 data sets."""
    assert nemenyi.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert nemenyi.critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)
    assert math.isnan(nemenyi.critical_difference(1, 14))


def test_a_leaderboard_gives_what_its_diagram_shows() -> None:
    table = {"best": [0.9, 0.8, 0.9], "middle": [0.5, 0.9, 0.4], "worst": [0.1, 0.2, 0.3]}
    every = records(table | {"gap": [0.5, None, 0.5]}) + records({"random": [0.5, 0.5, 0.5]}, control=True)
    methods, mean_ranks, difference = aggregate(every).critical_difference()
    assert methods == ("best", "middle", "worst")
    np.testing.assert_allclose(mean_ranks, [4 / 3, 5 / 3, 3])
    quantile = scipy.stats.studentized_range.ppf(0.95, 3, np.inf)
    assert difference == pytest.approx(quantile / math.sqrt(2) * (12 / 18) ** 0.5)
    assert math.isnan(aggregate(records({"alone": [0.1, 0.2]})).critical_difference()[2])
