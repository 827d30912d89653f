"""Tests of claims: from one number per image to a verdict; pure functions on arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.statistics import bootstrap, rank_tests

SUPPORTED, AGAINST, UNDECIDED, UNMEASURED = "supported", "not supported", "undecided", "not measured"


@dataclass(frozen=True, eq=False)
class Sample:
    """One number per image.

    Attributes:
        values: (images,) float, NaN for a missing number.
        skipped: (images,) bool, whether the number is missing because it is undefined on that image.
    """

    values: np.ndarray
    skipped: np.ndarray

    def __sub__(self, other: Sample) -> Sample:
        """The paired differences."""
        return Sample(self.values - other.values, self.skipped | other.skipped)

    @property
    def measured(self) -> bool:
        """Whether any image has a number, or a reason for a missing one."""
        return bool((np.isfinite(self.values) | self.skipped).any())


@dataclass(frozen=True)
class Test:
    """A sample compared with the value at chance level or without a preference.

    Attributes:
        measure: the name of the evidence.
        against: the value that the mean exceeds if the claim holds.
        images: how many have a number; the statistics below are over these.
        left_out: how many have none because it is undefined there, such as a gap without thin vessels.
        lost: how many have none because it failed or was not computed.
        value: mean over images.
        low, high: 95 % bootstrap interval of the mean.
        effect: matched-pairs rank-biserial correlation of the differences from ``against``, in [-1, 1].
        p: Wilcoxon's two-sided p-value of the same differences.
        p_holm: p after Holm over all tests of the family.
        verdict: see :func:`decide`.
    """

    measure: str
    against: float
    images: int = 0
    left_out: int = 0
    lost: int = 0
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    effect: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    verdict: str = UNMEASURED


def assess(samples: Sequence[tuple[str, float, Sample | None]], *, seed: int = 0) -> list[Test]:
    """The tests of several samples, as one family for Holm.

    Args:
        samples: (measure, against, sample) each. A sample that is None or not :attr:`Sample.measured` gives a test
            with the verdict ``"not measured"``, which does not count in the family.
        seed: of the bootstrap.
    """
    tests = [_test(*sample, seed=seed) for sample in samples]
    made = [i for i, t in enumerate(tests) if math.isfinite(t.p)]
    for i, p in zip(made, rank_tests.holm(np.array([tests[i].p for i in made])), strict=True):
        tests[i] = dataclasses.replace(tests[i], p_holm=float(p))
    return [t if t.verdict == UNMEASURED else dataclasses.replace(t, verdict=decide(t)) for t in tests]


def _test(measure: str, against: float, sample: Sample | None, *, seed: int) -> Test:
    if sample is None or not sample.measured:
        return Test(measure, against)
    there = np.isfinite(sample.values)
    # A constant map can have a lift of 1 − 1e-16: without rounding, the test would count it as a difference from 1.
    x = np.round(sample.values[there], 12)
    left_out = int((~there & sample.skipped).sum())
    lost = int((~there & ~sample.skipped).sum())
    if not x.size:
        return Test(measure, against, 0, left_out, lost, verdict=UNDECIDED)
    low, high = bootstrap.interval(x[None], bootstrap.resample_weights(x.size, seed))
    return Test(
        *(measure, against, x.size, left_out, lost),
        value=float(x.mean()),
        low=float(low[0]),
        high=float(high[0]),
        effect=rank_tests.rank_biserial(x - against),
        p=rank_tests.wilcoxon(x - against),
        verdict=UNDECIDED,
    )


def decide(test: Test) -> str:
    """The verdict on one test.

    Returns:
        ``"supported"``: the 95 % interval lies wholly above ``against``, and p after Holm is below .05. ``"not
        supported"``: it lies wholly below, and p after Holm is below .05. ``"undecided"``: otherwise, with fewer than
        6 images, and if an image lacks a number that it should have.
    """
    if test.images < rank_tests.FEWEST or test.lost or not test.p_holm < rank_tests.ALPHA:
        return UNDECIDED
    return SUPPORTED if test.low > test.against else AGAINST if test.high < test.against else UNDECIDED


def together(tests: Sequence[Test]) -> str:
    """The verdict on a claim with several tests: that of the measured ones if they agree, else ``"undecided"``."""
    found = {t.verdict for t in tests} - {UNMEASURED}
    return UNMEASURED if not found else found.pop() if len(found) == 1 else UNDECIDED
