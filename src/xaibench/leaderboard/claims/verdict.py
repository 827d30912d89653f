"""From one number per image to a verdict on what a claim says of it: pure functions on arrays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.statistics import bootstrap
from xaibench.leaderboard.statistics import rank_tests as statistics

SUPPORTED, AGAINST, UNDECIDED, UNMEASURED = "supported", "not supported", "undecided", "not measured"


@dataclass(frozen=True, eq=False)
class Sample:
    """One number per image.

    Attributes:
        values: (images,) float, NaN where there is none.
        skipped: (images,) bool, where there is none because it has no meaning on that image.
    """

    values: np.ndarray
    skipped: np.ndarray

    def __sub__(self, other: Sample) -> Sample:
        """The paired differences."""
        return Sample(self.values - other.values, self.skipped | other.skipped)

    @property
    def measured(self) -> bool:
        """Whether there is a number, or a reason for none, on any image."""
        return bool((np.isfinite(self.values) | self.skipped).any())


@dataclass(frozen=True)
class Test:
    """A sample held against the value that chance or even-handedness would give.

    Attributes:
        measure: what was measured.
        against: the value that the claim says it exceeds.
        images: how many have a number; the statistics below are about these.
        left_out: how many have none since it has no meaning there, such as a gap where no vessel is thin.
        lost: how many have none since it failed or was not computed.
        value: mean over images.
        low, high: 95 % bootstrap interval of the mean.
        effect: matched-pairs rank-biserial correlation of the differences from ``against``, in [-1, 1].
        p: Wilcoxon's two-sided p-value of the same differences.
        p_holm: after Holm over all tests that were made together.
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
    """The tests of several (measure, against, sample), as one family for Holm.

    A sample that is None, or has neither a number nor a reason for none, was not measured and counts for nothing.

    Args:
        samples: what is tested.
        seed: of the bootstrap.
    """
    tests = [_test(*sample, seed=seed) for sample in samples]
    made = [i for i, t in enumerate(tests) if math.isfinite(t.p)]
    for i, p in zip(made, statistics.holm(np.array([tests[i].p for i in made])), strict=True):
        tests[i] = dataclasses.replace(tests[i], p_holm=float(p))
    return [t if t.verdict == UNMEASURED else dataclasses.replace(t, verdict=decide(t)) for t in tests]


def _test(measure: str, against: float, sample: Sample | None, *, seed: int) -> Test:
    if sample is None or not sample.measured:
        return Test(measure, against)
    there = np.isfinite(sample.values)
    # A lift of 1 − 1e-16, which a constant map can have, is no difference from 1 that a test may count.
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
        effect=statistics.rank_biserial(x - against),
        p=statistics.wilcoxon(x - against),
        verdict=UNDECIDED,
    )


def decide(test: Test) -> str:
    """The verdict on one test.

    ``"supported"``: the 95 % interval lies wholly above ``against``, and p after Holm is below .05. ``"not
    supported"``: it lies wholly below, and p after Holm is below .05. ``"undecided"``: otherwise, with fewer than 6
    images, and where an image is missing that should have had a number.
    """
    if test.images < statistics.FEWEST or test.lost or not test.p_holm < statistics.ALPHA:
        return UNDECIDED
    return SUPPORTED if test.low > test.against else AGAINST if test.high < test.against else UNDECIDED


def together(tests: Sequence[Test]) -> str:
    """The verdict on a claim with several tests: theirs if those that were measured agree, else ``"undecided"``."""
    found = {t.verdict for t in tests} - {UNMEASURED}
    return UNMEASURED if not found else found.pop() if len(found) == 1 else UNDECIDED
