from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.synthetic import aggregate, records
from xaibench.leaderboard.statistics.nemenyi import (
    critical_difference,
    studentized_range_cdf,
    studentized_range_quantile,
)

# Demšar (2006), table 5 (a): critical values of the two-tailed Nemenyi test for 2 … 10 classifiers.
DEMSAR_05 = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
DEMSAR_10 = (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)


@pytest.mark.parametrize(("alpha", "published"), [(0.05, DEMSAR_05), (0.10, DEMSAR_10)])
def test_the_published_table(alpha: float, published: tuple[float, ...]) -> None:
    found = [studentized_range_quantile(k, alpha) / math.sqrt(2) for k in range(2, 11)]
    np.testing.assert_allclose(found, published, atol=1.1e-3)  # its last digit is not always rounded to nearest


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 9), st.integers(2, 60))
def test_the_distribution_is_that_of_scipy(q: float, k: int) -> None:
    assert studentized_range_cdf(q, k) == pytest.approx(scipy.stats.studentized_range.cdf(q, k, np.inf), abs=1e-8)


@pytest.mark.parametrize("k", [2, 3, 10, 28, 50])
def test_the_quantile_is_that_of_scipy(k: int) -> None:
    expected = scipy.stats.studentized_range.ppf(0.95, k, np.inf)
    assert studentized_range_quantile(k) == pytest.approx(expected, abs=1e-5)


def test_two_values_differ_as_a_normal_variable_does() -> None:
    """Their difference has the standard deviation √2."""
    for q in (0.0, 0.5, 2.0, 5.0):
        assert studentized_range_cdf(q, 2) == pytest.approx(math.erf(q / 2), abs=1e-12)


def test_the_published_critical_differences() -> None:
    """Demšar (2006), section 3.2.4: 4 classifiers on 14 data sets."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)
    assert math.isnan(critical_difference(1, 14))


def test_a_leaderboard_gives_what_its_diagram_shows() -> None:
    table = {"best": [0.9, 0.8, 0.9], "middle": [0.5, 0.9, 0.4], "worst": [0.1, 0.2, 0.3]}
    every = records(table | {"gap": [0.5, None, 0.5]}) + records({"random": [0.5, 0.5, 0.5]}, control=True)
    methods, mean_ranks, difference = aggregate(every).critical_difference()
    assert methods == ("best", "middle", "worst")
    np.testing.assert_allclose(mean_ranks, [4 / 3, 5 / 3, 3])
    assert difference == pytest.approx(
        scipy.stats.studentized_range.ppf(0.95, 3, np.inf) / math.sqrt(2) * (12 / 18) ** 0.5
    )
    assert math.isnan(aggregate(records({"alone": [0.1, 0.2]})).critical_difference()[2])
