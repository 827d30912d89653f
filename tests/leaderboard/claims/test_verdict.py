import math

import numpy as np
import pytest
import scipy.stats

from xaibench.leaderboard.claims.verdict import AGAINST, SUPPORTED, UNDECIDED, UNMEASURED, Sample, assess, together
from xaibench.leaderboard.statistics.rank_tests import holm


def sample(values: list[float], skipped: tuple[int, ...] = ()) -> Sample:
    return Sample(np.array(values, float), np.isin(np.arange(len(values)), skipped))


def level(mean: float, n: int = 12, width: float = 0.01, seed: int = 0) -> Sample:
    noise = np.random.default_rng(seed).normal(0, width, n)
    return sample((mean + noise - noise.mean()).tolist())


def test_the_numbers_against_scipy() -> None:
    x = np.random.default_rng(3).normal(0.6, 0.2, 15)
    (found,) = assess([("m", 0.5, Sample(x, np.zeros(15, bool)))])
    assert found.value == pytest.approx(x.mean()) and found.images == 15
    assert found.p == found.p_holm == pytest.approx(scipy.stats.wilcoxon(x - 0.5).pvalue)
    interval = scipy.stats.bootstrap((x,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx(interval, abs=0.03 * (interval.high - interval.low))
    r = scipy.stats.rankdata(np.abs(x - 0.5))
    assert found.effect == pytest.approx((r * np.sign(x - 0.5)).sum() / r.sum())


@pytest.mark.parametrize(("mean", "verdict"), [(1.2, SUPPORTED), (0.8, AGAINST), (1.0, UNDECIDED)])
def test_the_side_on_which_the_interval_lies(mean: float, verdict: str) -> None:
    (found,) = assess([("m", 1.0, level(mean))])
    assert found.verdict == verdict


def test_with_fewer_than_six_images_nothing_is_decided() -> None:
    assert [assess([("m", 0, level(1, n))])[0].verdict for n in (1, 5, 6)] == [UNDECIDED, UNDECIDED, SUPPORTED]
    (one,) = assess([("m", 0, level(1, 1))])
    assert (one.images, one.value) == (1, 1) and math.isnan(one.low)


def test_holm_is_over_all_tests_that_were_made() -> None:
    samples = [level(0.02, 8, 0.03, seed) for seed in range(6)]
    found = assess([*((f"m{i}", 0.0, s) for i, s in enumerate(samples)), ("absent", 0.0, None)])
    assert [t.p_holm for t in found[:6]] == pytest.approx(holm(np.array([t.p for t in found[:6]])))
    assert found[6].verdict == UNMEASURED and math.isnan(found[6].p_holm)
    # Six images reach p = .031 alone, which does not outlast a second test.
    assert assess([("m", 0, level(1, 6))])[0].verdict == SUPPORTED
    assert [t.verdict for t in assess([("m", 0, level(1, 6)), ("n", 0, level(1, 6))])] == [UNDECIDED] * 2


def test_what_has_no_meaning_is_left_out_and_what_is_lost_decides_nothing() -> None:
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, math.nan]
    (left_out,) = assess([("m", 0, sample(values, (7,)))])
    assert (left_out.images, left_out.left_out, left_out.lost, left_out.verdict) == (7, 1, 0, SUPPORTED)
    (lost,) = assess([("m", 0, sample(values))])
    assert (lost.images, lost.left_out, lost.lost, lost.verdict) == (7, 0, 1, UNDECIDED)
    assert lost.value == left_out.value == pytest.approx(1.3)


def test_rounding_errors_are_no_difference() -> None:
    (found,) = assess([("m", 1, sample([1 + 2.3e-16] * 8))])
    assert (found.effect, found.p, found.verdict) == (0, 1, UNDECIDED)


def test_nothing_at_all() -> None:
    (lost,) = assess([("m", 0, sample([math.nan] * 8))])
    assert lost.verdict == UNMEASURED
    (skipped,) = assess([("m", 0, sample([math.nan] * 8, tuple(range(8))))])
    assert (skipped.verdict, skipped.images, skipped.left_out) == (UNDECIDED, 0, 8) and math.isnan(skipped.p)
    assert assess([]) == []


def test_a_difference_lacks_what_either_lacks() -> None:
    difference = sample([1, math.nan, 3], (1,)) - sample([1, 1, math.nan])
    np.testing.assert_array_equal(difference.values, [0, math.nan, math.nan])
    assert difference.skipped.tolist() == [False, True, False]


def test_tests_of_one_claim_must_agree() -> None:
    yes, no, none = assess([("a", 0, level(1)), ("b", 0, level(-1)), ("c", 0, None)])
    assert together([yes, yes, none]) == SUPPORTED and together([no, none]) == AGAINST
    assert together([yes, no]) == UNDECIDED and together([none, none]) == UNMEASURED
