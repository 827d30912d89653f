"""Metric quality: whether a metric separates noise from the ground truth, and whether its ranking is stable."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics.rank_tests import ALPHA, FEWEST, rank_biserial, wilcoxon

# The two controls that every metric must separate: a random map, and the vessels as an observer drew them.
NOISE, TRUTH = "random", "vessels-oracle"
WEAK_ALPHA = 0.1
# Metrics of these families describe how a method reacts to noise or to another network, not which pixels a map marks.
# Two controls whose maps never change score alike there, which is no fault of the metric.
_ABOUT_METHODS = ("robustness", "randomisation")

_COMPUTED: WeakKeyDictionary[Leaderboard, dict[str, Quality]] = WeakKeyDictionary()

YES, NO, WRONG, FEW, UNKNOWN = "yes", "no", "wrong way", "too few images to tell", "not measured"


@dataclass(frozen=True)
class Quality:
    """How reliable a column is; NaN for a number that is undefined.

    Attributes:
        metric: the column's name.
        family: the metric's family.
        better: which direction is better: ``"higher"``, ``"lower"``, ``"zero"`` or ``"none"``.
        effect: matched-pairs rank-biserial correlation of ground truth minus noise over images [kerby2014], in
            [-1, 1]: 1 if the truth scores better on every image (for ``"none"``: higher).
        p: two-sided p-value of Wilcoxon's test of the same differences.
        tells: whether the metric separates noise from truth: ``"yes"``, ``"no"`` (p > .05), ``"wrong way"`` (noise
            scores better), ``"too few images to tell"``, or ``"not measured"`` if the run lacks one of the two maps.
        alpha: Krippendorff's α over images, see :meth:`Leaderboard.reliability`.
        tau_fills: the lowest Kendall τ between its ranking of the methods and that of the same metric with other fills.
        chance_lo, chance_hi: the chance level, see :meth:`Leaderboard.chance`.
        missing: share of cells without a value, controls included.
        weak: whether tables print it grey. A column is weak if it has a direction, is not about robustness or
            randomisation, and does not separate noise from truth; or if α is below .1. A gate is never weak, because it
            ranks nothing.
    """

    metric: str
    family: str
    better: str
    effect: float
    p: float
    tells: str
    alpha: float
    tau_fills: float
    chance_lo: float
    chance_hi: float
    missing: float
    weak: bool


def qualities(board: Leaderboard) -> dict[str, Quality]:
    """The quality of each column by name, without columns of cost, which are not about maps; computed once."""
    if board not in _COMPUTED:
        columns = [c for c in board.columns if c.family != "cost"]
        tau_fills = _lowest_agreement_of_fills(board, columns)
        _COMPUTED[board] = {c.name: _quality(board, c, tau_fills.get(c.name, math.nan)) for c in columns}
    return _COMPUTED[board]


def _quality(board: Leaderboard, column: Column, tau_fills: float) -> Quality:
    effect, p, tells = separation(board, column)
    alpha = board.reliability(column)
    low, high = board.chance(column) or (math.nan, math.nan)
    judges_maps = column.better != "none" and column.family not in _ABOUT_METHODS
    weak = (judges_maps and tells in (NO, WRONG)) or (alpha is not None and alpha < WEAK_ALPHA)
    return Quality(
        *(column.name, column.family, column.better, effect, p, tells),
        alpha=math.nan if alpha is None else alpha,
        tau_fills=tau_fills,
        chance_lo=low,
        chance_hi=high,
        missing=float(np.isnan(board.scores(column)).mean()),
        weak=weak and column.gate is None,
    )


def separation(board: Leaderboard, column: Column) -> tuple[float, float, str]:
    """Effect size, p-value and verdict of ground truth against noise, paired over the images that have both scores."""
    scores = dict(zip(((r.control, r.method) for r in board.rows), column.orient(board.scores(column)), strict=True))
    differences = scores.get((True, TRUTH), np.array(np.nan)) - scores.get((True, NOISE), np.array(np.nan))
    differences = differences[np.isfinite(differences)]
    if not differences.size:
        return math.nan, math.nan, UNKNOWN
    effect, p = rank_biserial(differences), wilcoxon(differences)
    if differences.size < FEWEST:
        return effect, p, FEW
    if p > ALPHA:
        return effect, p, NO
    return effect, p, WRONG if effect < 0 and column.better != "none" else YES


def _lowest_agreement_of_fills(board: Leaderboard, columns: Sequence[Column]) -> dict[str, float]:
    """Per column that was measured with several fills, its lowest rank agreement with another fill."""
    groups: dict[str, list[Column]] = defaultdict(list)
    for c in columns:
        groups[without_fill(c.name)].append(c)
    lowest: dict[str, float] = {}
    for group in groups.values():
        for pair, tau in board.agreement(group).items():
            if tau is not None:
                lowest |= {name: min(tau, lowest.get(name, 1.0)) for name in pair}
    return lowest


def without_fill(name: str) -> str:
    """A column's name without its fill and its number of steps: the number of steps does not change the quantity.

    Example:
        >>> without_fill("srg[fill=blur]"), without_fill("srg[steps=9,fill=blur]"), without_fill("irof[segments=9]")
        ('srg', 'srg', 'irof[segments=9]')
    """
    stem, _, inner = name.removesuffix("]").partition("[")
    others = [p for p in re.split(r"\s*,\s*", inner) if p and not p.startswith(("fill=", "steps="))]
    return f"{stem}[{','.join(others)}]" if others else stem
