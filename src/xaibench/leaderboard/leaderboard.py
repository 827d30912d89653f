"""The leaderboard as an object: scores of methods on images, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from xaibench.leaderboard.statistics import bootstrap, nemenyi
from xaibench.leaderboard.statistics import rank_tests as statistics
from xaibench.record.manifest import ColumnInfo
from xaibench.record.schema import ScoreEntry

if TYPE_CHECKING:
    import pandas as pd

# The columns of a row's own values, before and after those of the metrics.
FIRST = ("rank", "method", "family", "control", "coverage")
LAST = ("mean_rank", "group", "seconds", "passes")  # stay last when a later leaderboard adds metrics


@dataclass(frozen=True)
class Column:
    """A metric's column.

    Attributes:
        name: such as ``"srg[fill=blur]"``.
        better: ``"higher"``, ``"lower"``, ``"zero"`` (nearest 0) or ``"none"``.
        low: least value that the metric can take.
        high: greatest value that it can take.
        family: the metric's family.
        gate: a method passes at this value or on its better side; None where the column ranks.
        label: short heading.
        explanation: one line; may be empty.
        main: place in the main table; None if the column is not in it.
        narrow: whether a narrow terminal may leave the column out.
    """

    name: str
    better: str
    low: float
    high: float
    family: str
    gate: float | None = None
    label: str = ""
    explanation: str = ""
    main: int | None = None
    narrow: bool = True

    @classmethod
    def of(cls, score: ScoreEntry, info: ColumnInfo) -> Column:
        """The column that a score belongs to, with what the run's manifest says of it."""
        return cls(
            *(score.metric, score.better, score.low, score.high, score.family, score.gate),
            *(info.label or score.metric, info.explanation, info.main, info.narrow),
        )

    def orient(self, values: np.ndarray) -> np.ndarray:
        """The values with higher as better."""
        return -values if self.better == "lower" else -np.abs(values) if self.better == "zero" else values

    def passes(self, mean: float) -> bool:
        """Whether a mean lies at the gate's value or on its better side; of a column that is a gate."""
        level, gate = self.orient(np.array([mean, self.gate], float))
        return bool(level >= gate)

    @property
    def bounded(self) -> bool:
        """Whether both ends of the range are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True)
class Row:
    """A method and what is known of it besides its metrics.

    Attributes:
        method: as shown, ``"gradcam[layer=last]"``.
        family: the explainer's family.
        control: a map no method should lose to; never ranked.
        coverage: share of the images with a map.
        seconds: mean per map, NaN if any is missing.
        passes: mean per map, NaN if any is missing.
        rank: place by ``mean_rank``, ties sharing the better place; None if unranked.
        mean_rank: mean over images of the rank within the image, NaN if unranked.
        group: letters; methods that share one cannot be told apart. Empty where no test was made.
    """

    method: str
    family: str
    control: bool
    coverage: float
    seconds: float
    passes: float
    rank: int | None = None
    mean_rank: float = math.nan
    group: str = ""


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """One dataset, split, model and target.

    Attributes:
        dataset: such as ``"drive"``.
        split: such as ``"test"``.
        model: the model's name.
        weights_digest: content digest of its weights.
        target: which pixels were explained.
        cases: the images, by id.
        rows: ranked methods by rank, then unranked ones, then controls.
        columns: the metrics.
        values: (columns, rows, cases) float, NaN where a score is missing.
        skipped: (columns, rows, cases) bool, where it is missing because it has no meaning there.
        nulls: per column that says what its maps score by chance, (rows, cases, turns) float, NaN where it is missing.
        primary: the column that ranks; None if no column has a better end.
        comparison: the tests behind the groups, over the ranked rows in their order.
        gaps: per method without a complete primary column, (case, reason) of each missing score.
        seed: of the bootstrap.
        seeds: the most that a method's maps of an image were made with.
    """

    dataset: str
    split: str
    model: str
    weights_digest: str
    target: str
    cases: tuple[str, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    values: np.ndarray
    skipped: np.ndarray
    nulls: dict[str, np.ndarray]
    primary: Column | None
    comparison: statistics.Comparison
    gaps: dict[str, list[tuple[str, str]]]
    seed: int
    seeds: int = 1

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Dataset, split, model, weights digest and target, which tell leaderboards apart."""
        return self.dataset, self.split, self.model, self.weights_digest, self.target

    def column(self, name: str) -> Column | None:
        """The column of that name, None if it was not measured."""
        return next((c for c in self.columns if c.name == name), None)

    def scores(self, column: Column) -> np.ndarray:
        """(rows, cases) float."""
        return np.asarray(self.values[self.columns.index(column)])

    def mean(self, column: Column) -> np.ndarray:
        """(rows,) mean over all images; NaN if a score is missing, since a mean over fewer is another quantity."""
        return np.asarray(self.scores(column).mean(1))

    def turned(self, name: str, row: int) -> np.ndarray:
        """(cases,) mean score of a row's maps against turned vessels: their own chance; NaN where it is not known."""
        return np.asarray(self.nulls[name][row].mean(1)) if name in self.nulls else np.full(len(self.cases), np.nan)

    @cached_property
    def is_method(self) -> np.ndarray:
        """(rows,) bool, False for controls."""
        return np.array([not r.control for r in self.rows], bool)

    def chance(self, column: Column) -> tuple[float, float] | None:
        """The band in which the column's mean lies by chance: its 2.5–97.5 % range over methods and turns of the masks.

        Each map was also scored against masks that were rotated and mirrored. A turn counts for a method if all images
        have it; controls, some of which are the truth itself, count only where there is nothing else. None where the
        metric has no such scores.
        """
        if column.name not in self.nulls:
            return None
        null = self.nulls[column.name]
        means = (null[self.is_method] if self.is_method.any() else null).mean(1)
        means = means[np.isfinite(means)]
        if not means.size:
            return None
        low, high = np.percentile(means, (2.5, 97.5))
        return float(low), float(high)

    def critical_difference(self) -> tuple[tuple[str, ...], np.ndarray, float]:
        """What a critical-difference diagram shows [demsar2006]: ranked methods, their mean ranks, and how far two of
        these lie apart before Nemenyi's test at .05 tells them apart (NaN with fewer than two methods)."""
        ranked = [r for r in self.rows if r.rank is not None]
        difference = nemenyi.critical_difference(len(ranked), len(self.cases))
        return tuple(r.method for r in ranked), np.array([r.mean_rank for r in ranked], float), difference

    @property
    def weights(self) -> np.ndarray:
        """(cases, resamples) float, the resamples that all methods and columns share."""
        return bootstrap.resample_weights(len(self.cases), self.seed)

    @cached_property
    def _intervals(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {}

    def interval(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        """(rows,) ends of the 95 % bootstrap interval of :meth:`mean`; NaN with one image only."""
        # Computed when asked for, since a terminal table shows a few columns of many.
        if column.name not in self._intervals:
            self._intervals[column.name] = bootstrap.interval(self.scores(column), self.weights)
        return self._intervals[column.name]

    def agreement(self, columns: Sequence[Column]) -> dict[tuple[str, str], float | None]:
        """Kendall's τ between each two columns' means over the methods, controls aside, the better end up."""
        means = {c.name: c.orient(self.mean(c))[self.is_method] for c in columns}
        return {(a, b): statistics.kendall_tau(means[a], means[b]) for a, b in combinations(means, 2)}

    def reliability(self, column: Column) -> float | None:
        """Krippendorff's α over images of the methods that have the column on every image, controls aside."""
        scores = self.scores(column)
        methods = self.is_method & ~np.isnan(scores).any(1)
        return statistics.krippendorff_alpha(column.orient(scores[methods]))

    def table(self) -> dict[str, Sequence[object]]:
        """The columns of ``leaderboard.csv`` by name, one value per row; NaN for a missing number."""
        table: dict[str, Sequence[object]] = {n: [getattr(r, n) for r in self.rows] for n in FIRST}
        for c in self.columns:
            low, high = self.interval(c)
            table |= {c.name: self.mean(c).tolist(), f"{c.name}_lo": low.tolist(), f"{c.name}_hi": high.tolist()}
        return table | {n: [getattr(r, n) for r in self.rows] for n in LAST}

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One line per row: rank, method, family, control, coverage, then per metric NAME, NAME_lo, NAME_hi, then
        mean_rank, group, seconds, passes."""
        import pandas as pd

        return pd.DataFrame(self.table()).astype({"rank": "Int64"})
