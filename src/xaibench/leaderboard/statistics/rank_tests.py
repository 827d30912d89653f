"""Rank tests over images: ranks, Friedman, Wilcoxon with Holm, letter display, rank agreement.

Pure functions on arrays. Importing ``scipy.stats`` takes longer than printing a table, so the p-values are computed
here; tests compare them with scipy.
"""

import math
import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xaibench.errors import plural

ALPHA = 0.05
FEWEST = 6  # images; with fewer, no two-sided signed-rank test reaches .05
_EXACT_UP_TO = 50  # images; above, the error of the normal approximation of Wilcoxon's p-value is below .004


def ranks(scores: np.ndarray) -> np.ndarray:
    """Rank of each method within each image, 1 for the highest score; ties share the mean of their ranks.

    Args:
        scores: (methods, images), no NaN.

    Returns:
        (methods, images) float.

    Example:
        >>> ranks(np.array([[.9], [.5], [.9]])).ravel().tolist()
        [1.5, 3.0, 1.5]
    """
    scores = np.asarray(scores, float)
    if not scores.size:
        return np.zeros(scores.shape)
    columns = []
    for image in -scores.T:
        ordered = np.sort(image)
        columns.append((ordered.searchsorted(image) + ordered.searchsorted(image, "right") + 1) / 2)
    return np.stack(columns, axis=1)


def friedman(scores: np.ndarray) -> tuple[float, float]:
    """Friedman's test of the hypothesis that no two methods differ [friedman1937], corrected for ties.

    Args:
        scores: (methods, images).

    Returns:
        The statistic, and its p-value from χ² with methods − 1 degrees of freedom; (0, 1) if all methods are tied.
    """
    r = ranks(scores)
    k, n = r.shape
    spread = float(((r - (k + 1) / 2) ** 2).sum()) / (n * (k - 1))  # k (k + 1) / 12 without ties
    if spread == 0:
        return 0.0, 1.0
    statistic = n * float(((r.mean(1) - (k + 1) / 2) ** 2).sum()) / spread
    return statistic, chi2_tail(statistic, k - 1)


def chi2_tail(x: float, freedom: int) -> float:
    """P(χ² > x), by the recurrence of the incomplete gamma function [abramowitz1964, 6.5.22].

    Args:
        x: the statistic.
        freedom: degrees of freedom, 1 or more.

    Example:
        >>> round(chi2_tail(5.991, 2), 4)
        0.05
    """
    half = x / 2
    if half <= 0:
        return 1.0
    a = 0.5 if freedom % 2 else 1.0
    tail = math.erfc(math.sqrt(half)) if freedom % 2 else math.exp(-half)
    while a < freedom / 2:
        tail += math.exp(a * math.log(half) - half - math.lgamma(a + 1))
        a += 1
    return min(tail, 1.0)


def wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test [wilcoxon1945]; differences of 0 are left out.

    Exact up to 50 images, ties included; a normal approximation with tie and continuity correction above.

    Args:
        differences: (images,).

    Example:
        >>> wilcoxon(np.array([1., 2., 3., 4., 5.]))               # 2 / 2⁵
        0.0625
    """
    d = np.asarray(differences, float)
    d = d[d != 0]
    if d.size == 0:
        return 1.0
    doubled = np.rint(2 * ranks(-np.abs(d)[:, None])[:, 0]).astype(int)  # mean ranks are whole or half
    positive, total = int(doubled[d > 0].sum()), int(doubled.sum())
    smaller = min(positive, total - positive)
    if d.size <= _EXACT_UP_TO:
        return min(1.0, 2 * float(_signed_rank_cdf(tuple(sorted(doubled.tolist())))[smaller]))
    squares = float((doubled.astype(float) ** 2).sum())
    return math.erfc(max(total / 2 - smaller - 1, 0) / math.sqrt(squares / 4) / math.sqrt(2))


def rank_biserial(differences: np.ndarray) -> float:
    """Matched-pairs rank-biserial correlation, the effect size of Wilcoxon's signed-rank test [kerby2014].

    The positive share of the rank sum minus the negative share; differences of 0 are left out.

    Args:
        differences: (images,).

    Returns:
        In [-1, 1]: 1 if all differences are positive, 0 if there is no difference.

    Example:
        >>> rank_biserial(np.array([3., 2., -1.]))                 # (3 + 2 − 1) / 6
        0.6666666666666666
    """
    d = np.asarray(differences, float)
    d = d[d != 0]
    if d.size == 0:
        return 0.0
    r = ranks(-np.abs(d)[:, None])[:, 0]
    return float((r * np.sign(d)).sum() / r.sum())


@lru_cache(maxsize=1024)
def _signed_rank_cdf(doubled: tuple[int, ...]) -> np.ndarray:
    """P(sum of the ranks with positive sign ≤ s) for s = 0 … total, if each sign is a fair coin."""
    mass = np.zeros(sum(doubled) + 1)
    mass[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(mass)
        shifted[rank:] = mass[:-rank]
        mass = (mass + shifted) / 2
    return np.cumsum(mass)


def holm(p: np.ndarray) -> np.ndarray:
    """p-values adjusted for the number of tests [holm1979].

    Args:
        p: (tests,).

    Example:
        >>> holm(np.array([.01, .04, .03])).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def letters(differ: np.ndarray) -> list[str]:
    """Compact letter display by insert-and-absorb [piepho2004]: two methods share a letter if they do not differ.

    Args:
        differ: (methods, methods) bool, symmetric; methods in the order of their rank, the best first.

    Returns:
        One string of letters per method.

    Example:
        >>> letters(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], bool))
        ['a', 'ab', 'b']
    """
    count = len(differ)
    groups = [frozenset(range(count))]
    for i, j in zip(*np.nonzero(np.triu(differ, 1)), strict=True):
        split = [g - {out} for g in groups if {i, j} <= g for out in (int(i), int(j))]
        if split:
            candidates = dict.fromkeys([g for g in groups if not {i, j} <= g] + split)
            groups = [g for g in candidates if not any(g < other for other in candidates)]
    groups.sort(key=sorted)
    # One character per group, so that a method's letters are distinguishable: a … z, A … Z, then from Ā on.
    names = string.ascii_letters + "".join(map(chr, range(0x100, 0x100 + len(groups))))
    return ["".join(name for name, group in zip(names, groups, strict=False) if m in group) for m in range(count)]


@dataclass(frozen=True)
class Comparison:
    """Which methods differ significantly.

    Attributes:
        friedman_p: p-value of Friedman's test; None for two methods, or if no test was made.
        p: (methods, methods) Wilcoxon's p-values after Holm; None if no test was made.
        letters: one string per method, methods that share a letter do not differ; None if no test was made.
        reason: why no test was made; empty otherwise.
    """

    friedman_p: float | None
    p: np.ndarray | None
    letters: list[str] | None
    reason: str = ""


def compare(scores: np.ndarray, alpha: float = ALPHA) -> Comparison:
    """Friedman's test, then Wilcoxon's test with Holm for every pair [demsar2006; benavoli2016], then letters.

    Pairs can differ only if Friedman's test finds a difference. No test is made with so few images that even a method
    that is better on every image could not differ significantly.

    Args:
        scores: (methods, images), higher is better, no NaN.
        alpha: family-wise error rate.
    """
    k, n = scores.shape
    if k < 2:
        return Comparison(None, None, None, f"{'one method' if k else 'no method'} is ranked, so nothing is compared")
    pairs = k * (k - 1) // 2
    needed = math.ceil(math.log2(2 * pairs / alpha))  # the smallest p of n images is 2 / 2ⁿ
    if n < needed:
        reason = f"{plural(n, 'image')} cannot tell {k} methods apart; that takes {needed} or more"
        return Comparison(None, None, None, reason)
    friedman_p = friedman(scores)[1] if k > 2 else None
    upper = np.triu_indices(k, 1)
    p = np.ones((k, k))
    p[upper] = holm(np.array([wilcoxon(scores[i] - scores[j]) for i, j in zip(*upper, strict=True)]))
    p = np.minimum(p, p.T)
    differ = p <= alpha if friedman_p is None or friedman_p <= alpha else np.zeros((k, k), bool)
    order = np.argsort(ranks(scores).mean(1), kind="stable")
    ordered = letters(differ[np.ix_(order, order)])
    return Comparison(friedman_p, p, [ordered[i] for i in np.argsort(order)])


def ranking(scores: np.ndarray, eligible: np.ndarray) -> tuple[list[int], np.ndarray, Comparison]:
    """The methods that have every score, by their mean rank over images, the best first.

    Args:
        scores: (methods, images), higher is better, NaN where a score is missing.
        eligible: (methods,) bool, whether a method is ranked at all.

    Returns:
        Their indices, their mean ranks, and their comparison, all in this order; ties in the order of the methods.
    """
    entrants = np.flatnonzero(eligible & ~np.isnan(scores).any(1))
    mean_ranks = ranks(scores[entrants]).mean(1)
    order = np.argsort(mean_ranks, kind="stable")
    return entrants[order].tolist(), mean_ranks[order], compare(scores[entrants[order]])


def kendall_tau(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float | None:
    """Kendall's τ-b between two scorings of the same methods [kendall1945].

    Args:
        a, b: (methods,); a method with a NaN in either is left out.

    Returns:
        In [-1, 1]; None if it is undefined: fewer than two methods, or a scoring that ties them all.

    Example:
        >>> round(kendall_tau([1, 2, 3], [1, 3, 2]), 3)
        0.333
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    dx, dy = np.sign(x[:, None] - x), np.sign(y[:, None] - y)
    norm = math.sqrt(float((dx**2).sum()) * float((dy**2).sum()))
    return float((dx * dy).sum()) / norm if norm else None


def krippendorff_alpha(scores: np.ndarray) -> float | None:
    """Krippendorff's α of the methods' ranks, with the images as observers [krippendorff2004; tomsett2020].

    1 if every image ranks the methods alike, 0 at chance level. For ranks without ties the ordinal α equals the
    interval α, which is 1 − variance within methods / total variance.

    Args:
        scores: (methods, images), no NaN.

    Returns:
        At most 1; None if it is undefined: fewer than two methods or images, or all tied on every image.

    Example:
        >>> krippendorff_alpha(np.array([[.9, .8], [.5, .6], [.1, .2]]))
        1.0
    """
    r = ranks(scores)
    if min(r.shape) < 2 or float(r.var()) == 0:
        return None
    return 1 - float(r.var(axis=1, ddof=1).mean() / r.var(ddof=1))
