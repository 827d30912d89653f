import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaibench.metrics.similarity import correlation


def test_correlation_of_what_is_constant_is_zero() -> None:
    a = np.arange(5.0)
    assert correlation(a, np.full(5, 0.1)) == 0 and correlation(a, -3 * a) == pytest.approx(-1)
    b = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=2, max_size=30), st.integers(0, 2**32 - 1))
def test_the_correlation_is_a_number_in_its_range_whatever_the_map(values: list[float], seed: int) -> None:
    a = np.array(values, np.float32)
    b = np.random.default_rng(seed).standard_normal(a.size)
    assert -1 <= correlation(a, b) <= 1
    assert correlation(a, b) == correlation(b, a)
    assert correlation(np.full_like(a, a[0]), b) == 0


def test_the_correlation_of_the_largest_and_the_smallest_floats() -> None:
    a = np.array([1e308, -1e308, 5e307])
    assert correlation(a, a) == pytest.approx(1)
    assert correlation(a, np.array([3.0, -3.0, 1.5]) * 2.0**-1060) == pytest.approx(1)
