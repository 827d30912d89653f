"""Metrics under test: does a column tell noise from the truth, and do its ranks hold over images and fills?"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics import rank_tests as statistics

# The two controls that every metric must tell apart: noise, and the vessels as an observer drew them.
NOISE, TRUTH = "random", "vessels-oracle"
WEAK_ALPHA = 0.1
# Whose metrics say how a method answers other questions, noise or networks, and not which pixels a map marks: that two
# controls which never change are alike to them is no fault.
_OF_METHODS = ("robustness", "randomisation")

YES, NO, WRONG, FEW, UNKNOWN = "yes", "no", "wrong way", "too few images to tell", "not measured"


@dataclass(frozen=True)
class Quality:
    """How far a column can be relied on; NaN where a number is not defined.

    Attributes:
        metric: the column's name.
        family: the metric's family.
        better: which end is better.
        effect: matched-pairs rank-biserial correlation of truth less noise over images [kerby2014], in [-1, 1]: 1
            where the truth scores better on every image. Without a better end: where it scores higher.
        p: Wilcoxon's p-value of the same differences, two-sided.
        tells: whether it tells noise from the truth: ``"yes"``, ``"no"`` (p > .05), ``"wrong way"`` (noise scores
            better), ``"too few images to tell"``, or ``"not measured"`` where the run lacks one of the two maps.
        alpha: Krippendorff's α over images, see :meth:`Leaderboard.reliability`.
        tau_fills: the lowest Kendall τ between its ranking of the methods and that of the same metric with other fills.
        chance_lo, chance_hi: the band of chance, see :meth:`Leaderboard.chance`.
        missing: share of cells, controls included, without a value.
        weak: whether tables print it grey: it has a better end, is not about robustness or randomisation, and does not
            tell noise from the truth; or α is below .1. A gate never is, since it ranks nothing.
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
    """The quality of each column by its name; columns of cost, which are not about maps, are left out."""
    columns = [c for c in board.columns if c.family != "cost"]
    fills = _fills(board, columns)
    return {c.name: _quality(board, c, fills.get(c.name, math.nan)) for c in columns}


def _quality(board: Leaderboard, column: Column, tau_fills: float) -> Quality:
    effect, p, tells = separation(board, column)
    alpha = board.reliability(column)
    low, high = board.chance(column) or (math.nan, math.nan)
    # What has no better end describes: that noise and truth look alike to it is no fault, either.
    judges = column.better != "none" and column.family not in _OF_METHODS
    weak = (judges and tells in (NO, WRONG)) or (alpha is not None and alpha < WEAK_ALPHA)
    return Quality(
        metric=column.name,
        family=column.family,
        better=column.better,
        effect=effect,
        p=p,
        tells=tells,
        alpha=math.nan if alpha is None else alpha,
        tau_fills=tau_fills,
        chance_lo=low,
        chance_hi=high,
        missing=float(np.isnan(board.scores(column)).mean()),
        weak=weak and column.gate is None,
    )


def separation(board: Leaderboard, column: Column) -> tuple[float, float, str]:
    """Effect size, p-value and verdict of truth against noise, paired over the images on which both have the score."""
    scores = column.orient(board.scores(column))
    found = [[i for i, r in enumerate(board.rows) if r.control and r.method == name] for name in (TRUTH, NOISE)]
    if not all(found):
        return math.nan, math.nan, UNKNOWN
    truth, noise = (scores[i[0]] for i in found)
    differences = truth - noise
    differences = differences[np.isfinite(differences)]
    if not differences.size:
        return math.nan, math.nan, UNKNOWN
    effect, p = statistics.rank_biserial(differences), statistics.wilcoxon(differences)
    if differences.size < statistics.FEWEST:
        return effect, p, FEW
    if p > statistics.ALPHA:
        return effect, p, NO
    return effect, p, WRONG if effect < 0 and column.better != "none" else YES


def _fills(board: Leaderboard, columns: list[Column]) -> dict[str, float]:
    """Per column that was measured with several fills, the lowest agreement with one of the others."""
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
    """The name of a column without fill and number of steps among its parameters: areas do not depend on the latter.

    Example:
        >>> without_fill("srg[fill=blur]"), without_fill("srg[steps=9,fill=blur]"), without_fill("irof[segments=9]")
        ('srg', 'srg', 'irof[segments=9]')
    """
    stem, _, inner = name.removesuffix("]").partition("[")
    kept = [p for p in re.split(r"\s*,\s*", inner) if p and not p.startswith(("fill=", "steps="))]
    return f"{stem}[{','.join(kept)}]" if kept else stem
