import itertools
import math
import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xaibench.leaderboard.statistics import rank_tests as s

small = st.integers(-4, 4).map(float)  # few values, hence many ties


def tables(k: tuple[int, int] = (2, 6), n: tuple[int, int] = (1, 9)) -> st.SearchStrategy[np.ndarray]:
    return st.tuples(st.integers(*k), st.integers(*n)).flatmap(lambda shape: arrays(float, shape, elements=small))


# Demšar (2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
        [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
        [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.975, 0.946],
        [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.973, 0.970],
    ]
)


def test_the_published_example() -> None:
    """The paper's χ² = 9.28 leaves out the correction for ties, which makes it larger."""
    np.testing.assert_allclose(s.ranks(DEMSAR).mean(1), [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    statistic, p = s.friedman(DEMSAR)
    assert statistic > 9.28
    assert p == pytest.approx(scipy.stats.friedmanchisquare(*DEMSAR).pvalue, rel=1e-10)


@given(tables())
def test_ranks_are_those_of_scipy(x: np.ndarray) -> None:
    np.testing.assert_array_equal(s.ranks(x), scipy.stats.rankdata(-x, axis=0))


@given(tables(k=(3, 6), n=(2, 9)))
def test_friedman_is_that_of_scipy(x: np.ndarray) -> None:
    of_scipy = lambda: pytest.approx(tuple(scipy.stats.friedmanchisquare(*x)), abs=1e-10)
    assert s.friedman(x) == ((0.0, 1.0) if (x == x[0]).all() else of_scipy())


@given(st.floats(0, 200), st.integers(1, 60))
def test_the_tail_of_chi_squared_is_that_of_scipy(x: float, freedom: int) -> None:
    assert s.chi2_tail(x, freedom) == pytest.approx(scipy.stats.chi2.sf(x, freedom), rel=1e-9, abs=1e-300)


@given(st.lists(small, min_size=1, max_size=9))
def test_wilcoxon_counts_all_signs_even_with_ties(d: list[float]) -> None:
    """A permutation test of scipy does, too; it needs two differences."""
    kept = [x for x in d if x]
    expected = scipy.stats.wilcoxon(kept, method=scipy.stats.PermutationMethod()).pvalue if len(kept) > 1 else 1
    assert s.wilcoxon(np.array(d)) == pytest.approx(expected)


@pytest.mark.parametrize("n", [5, 20, 50, 51, 200])
def test_wilcoxon_is_that_of_scipy_without_ties(n: int) -> None:
    d = np.random.default_rng(n).normal(0.2, 1, n)
    exact = n <= 50
    expected = scipy.stats.wilcoxon(d, method="exact" if exact else "asymptotic", correction=not exact)
    assert s.wilcoxon(d) == pytest.approx(expected.pvalue, rel=1e-9)


def test_the_approximation_takes_over_smoothly() -> None:
    for d in np.random.default_rng(0).normal(0.2, 1, (20, 51)):
        assert s.wilcoxon(d) == pytest.approx(scipy.stats.wilcoxon(d, method="exact").pvalue, abs=4e-3)


@given(st.lists(small, min_size=1, max_size=12))
def test_the_effect_size_is_the_balance_of_the_rank_sums(d: list[float]) -> None:
    kept = np.array([x for x in d if x])
    found = s.rank_biserial(np.array(d))
    r = scipy.stats.rankdata(np.abs(kept))
    assert found == (pytest.approx((r[kept > 0].sum() - r[kept < 0].sum()) / r.sum()) if kept.size else 0)
    assert s.rank_biserial(-np.array(d)) == pytest.approx(-found)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_against_its_definition(p: list[float]) -> None:
    """Holm (1979): a p is multiplied by the number of those not below it, and is not below the adjusted ones before."""
    expected = [max(q * sum(r >= q for r in p) for q in p if q <= own) for own in p]
    np.testing.assert_allclose(s.holm(np.array(p)), np.minimum(expected, 1))


@settings(max_examples=200)
@given(st.integers(1, 7).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.booleans(), min_size=21, max_size=21))))
def test_letters_are_shared_exactly_by_those_that_do_not_differ(case: tuple[int, list[bool]]) -> None:
    k, bits = case
    differ = np.zeros((k, k), bool)
    differ[np.triu_indices(k, 1)] = bits[: k * (k - 1) // 2]
    differ |= differ.T
    found = s.letters(differ)
    for i, j in itertools.combinations(range(k), 2):
        assert (not set(found[i]) & set(found[j])) == differ[i, j]
    assert all(found) and found[0][0] == "a"
    members = {c: {i for i in range(k) if c in found[i]} for c in set("".join(found))}
    assert not any(members[a] <= members[b] for a, b in itertools.permutations(members, 2))  # no letter is redundant


def test_more_groups_than_letters() -> None:
    found = s.letters(~np.eye(60, dtype=bool))
    assert len(set(found)) == 60 and found[25:27] == ["z", "A"] and all(len(f) == 1 and f.isalpha() for f in found)


def test_clear_differences_are_told_apart_and_equal_methods_are_not() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.01, 20)
    x = np.array([base + 0.2, base + 0.9, base + 0.2 + rng.normal(0, 0.001, 20)])
    found = s.compare(x)
    assert found.letters == ["b", "a", "b"]
    assert found.friedman_p is not None and found.friedman_p < 1e-4
    assert found.p is not None and found.p[0, 1] == pytest.approx(3 * 2 / 2**20) and found.p[0, 0] == 1
    np.testing.assert_array_equal(found.p, found.p.T)


def test_pairs_are_not_told_apart_where_friedman_finds_nothing() -> None:
    """a is above b on every image, which Wilcoxon sees, but c, above or below both in turn, hides it from Friedman."""
    a = np.arange(1.0, 8.0) / 100
    found = s.compare(np.array([a, -a, np.where(np.arange(7) % 2, 9.0, -9.0)]))
    assert found.p is not None and found.p[0, 1] <= 0.05
    assert found.friedman_p is not None and found.friedman_p > 0.05
    assert found.letters == ["a"] * 3
    assert s.compare(np.zeros((4, 20))).letters == ["a"] * 4


@pytest.mark.parametrize(("k", "least"), [(2, 6), (3, 7), (30, 15)])
def test_no_test_is_made_where_none_could_find_anything(k: int, least: int) -> None:
    pairs = k * (k - 1) / 2
    assert pairs * 2 / 2**least <= 0.05 < pairs * 2 / 2 ** (least - 1)
    x = np.arange(k, dtype=float)[:, None] + np.zeros(least)
    found = s.compare(x)
    assert found.p is not None and found.p[0, 1] == pytest.approx(pairs * 2 / 2**least)  # and this is the smallest
    few = s.compare(x[:, 1:])
    assert few.letters is None and str(least) in few.reason


@pytest.mark.parametrize("k", [0, 1])
def test_with_fewer_than_two_methods_there_is_a_reason(k: int) -> None:
    found = s.compare(np.zeros((k, 9)))
    assert (found.letters, found.p, found.friedman_p) == (None, None, None) and "ranked" in found.reason


@given(st.integers(2, 9).flatmap(lambda n: st.tuples(*(st.lists(small, min_size=n, max_size=n),) * 2)))
def test_kendall_is_that_of_scipy(pair: tuple[list[float], list[float]]) -> None:
    a, b = pair
    constant = len(set(a)) == 1 or len(set(b)) == 1
    assert s.kendall_tau(a, b) == (None if constant else pytest.approx(scipy.stats.kendalltau(a, b).statistic))


def test_kendall_leaves_out_methods_that_lack_a_score() -> None:
    assert s.kendall_tau([1, math.nan, 2, 3], [3, 9, 2, 1]) == -1
    assert s.kendall_tau([1, math.nan], [1, 2]) is None


@given(tables(k=(2, 5), n=(2, 5)))
def test_krippendorff_against_its_definition_by_pairs(x: np.ndarray) -> None:
    """α = 1 − observed / expected disagreement, both being mean squared differences over pairs of values."""
    r = scipy.stats.rankdata(-x, axis=0)
    found = s.krippendorff_alpha(x)
    expected = np.mean([(a - b) ** 2 for a, b in itertools.permutations(r.ravel(), 2)])
    if expected == 0:
        assert found is None
        return
    observed = np.mean([(a - b) ** 2 for unit in r for a, b in itertools.permutations(unit, 2)])
    assert found == pytest.approx(1 - observed / expected)


def test_krippendorff_of_noise_is_near_0_and_needs_two_of_each() -> None:
    assert s.krippendorff_alpha(np.random.default_rng(0).normal(size=(20, 100))) == pytest.approx(0, abs=0.02)
    assert s.krippendorff_alpha(np.ones((1, 5))) is s.krippendorff_alpha(np.ones((5, 1))) is None


@pytest.mark.parametrize("levels", [2, 1000])
def test_ranks_of_many_ties_and_of_infinities_are_those_of_scipy(levels: int) -> None:
    scores = np.random.default_rng(levels).integers(-levels, levels, size=(30, 40)) / 4.0
    scores[0, :5] = -0.0
    scores[1, :5] = [0.0, np.inf, -np.inf, 0.0, 1.0]
    np.testing.assert_array_equal(s.ranks(scores), scipy.stats.rankdata(-scores, axis=0))
    assert s.ranks(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.alone
def test_a_hundred_methods_on_a_thousand_images_are_compared_in_seconds() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=1000) + rng.normal(size=(100, 1000)) + np.linspace(0, 2, 100)[:, None]
    start = time.process_time()
    comparison = s.compare(scores)
    assert comparison.letters is not None and len(set(comparison.letters)) > 20
    assert time.process_time() - start < 15  # by comparing every two images of every two methods: 40
