"""The scores of one leaderboard, accumulated record by record into arrays."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

import numpy as np

from xaibench.leaderboard.default_columns import default_info
from xaibench.leaderboard.leaderboard import Column
from xaibench.record import Record
from xaibench.record.manifest import ColumnInfo

_COST = ("seconds", "passes")  # read off the record itself

Key = tuple[str, str, str, str, str]  # dataset, split, model, weights digest, target
MethodKey = tuple[str, str, str]  # spec, distribution, version: records that agree in these are of one method
Image = tuple[str, str]  # id and digest: one id with two contents is two images
_Outcome = tuple[str, str]  # status and reason


def key_of(r: Record) -> Key:
    """The leaderboard that a record belongs to."""
    return r.dataset, r.split, r.model, r.weights_digest, r.target


def method_of(r: Record) -> MethodKey:
    """The method that a record belongs to."""
    return r.spec, r.distribution, r.version


class Accumulator:
    """Gathers the records of one leaderboard; they come in the order of their keys.

    Attributes:
        key: dataset, split, model, weights digest, target.
        methods: those that records are of, in the order of their numbers: what the first record says of each, its
            family and whether it is a control.
        images: each with its number.
        method, image: the numbers of each record's method and image.
        seconds, passes: each record's cost.

    Args:
        key: of all records that will be added.
        infos: what the run's manifest says of columns; those of edition one are known without.
    """

    def __init__(self, key: Key, infos: Mapping[str, ColumnInfo]) -> None:
        self.key = key
        self.methods: dict[MethodKey, tuple[str, bool]] = {}
        self._numbers: dict[MethodKey, int] = {}
        self.images: dict[Image, int] = {}
        self.method, self.image, self.seconds, self.passes = array("I"), array("I"), array("d"), array("q")
        self._infos = infos
        self._outcomes: dict[_Outcome, int] = {("ok", ""): 0}
        self._outcome = array("I")  # of each record's map
        self._columns: dict[str, tuple[int, Column]] = {}  # each with its number
        # The scores of all records, one after the other, and how many each record has; NaN where a score is missing.
        self._scores, self._column, self._values = array("I"), array("I"), array("d")
        self._score_outcomes = array("I")  # of missing scores, else 0
        # How many scores against turned masks each score has, and these.
        self._turns, self._nulls = array("I"), array("d")

    def add(self, r: Record) -> None:
        """Add one record."""
        self.methods.setdefault(method_of(r), (r.family, r.control))
        self.method.append(self._numbers.setdefault(method_of(r), len(self._numbers)))
        self.image.append(self.images.setdefault((r.case, r.case_digest), len(self.images)))
        self.seconds.append(r.seconds)
        self.passes.append(r.passes)
        self._outcome.append(self._number(r.status, r.reason) if r.status != "ok" else 0)
        scores = {s.metric: s for s in r.scores if s.metric not in _COST}
        for metric in scores.keys() - self._columns.keys():
            info = self._infos.get(metric) or default_info(metric)
            self._columns[metric] = len(self._columns), Column.of(scores[metric], info)
        self._scores.append(len(scores))
        self._column.extend([self._columns[metric][0] for metric in scores])
        self._values.extend([math.nan if s.value is None else s.value for s in scores.values()])
        self._score_outcomes.extend(
            [self._number(s.status, s.reason) if s.value is None else 0 for s in scores.values()]
        )
        self._turns.extend([len(s.null) for s in scores.values()])
        self._nulls.extend([null for s in scores.values() for null in s.null])

    def _number(self, status: str, reason: str) -> int:
        return self._outcomes.setdefault((status, reason), len(self._outcomes))

    @property
    def columns(self) -> list[Column]:
        """The columns in the order of tables: main ones first; each has the range of its first score."""
        columns = (column for _, column in self._columns.values())
        return sorted(columns, key=lambda c: (math.inf if c.main is None else c.main, c.family, c.name))

    @property
    def ok(self) -> np.ndarray:
        """(records,) bool, whether the record has a map."""
        return np.asarray(np.asarray(self._outcome) == 0)

    def _of(self, column: Column) -> tuple[np.ndarray, np.ndarray]:
        """(scores,) int each: the places of the column's scores, ascending, and the number of each one's record."""
        mine = np.flatnonzero(np.asarray(self._column) == self._columns[column.name][0])
        return mine, np.searchsorted(np.cumsum(self._scores, dtype=np.int64), mine, side="right")

    def _by_record(
        self, of: tuple[np.ndarray, np.ndarray], numbers: array[float] | array[int], absent: float
    ) -> np.ndarray:
        """(records,) the number of each record's score among those of :meth:`_of`, ``absent`` for one without."""
        mine, records = of
        by_record = np.full(len(self.method), absent, numbers.typecode)
        by_record[records] = np.asarray(numbers)[mine]
        return by_record

    def reasons(self, column: Column, cell: np.ndarray) -> dict[int, str]:
        """By the number of the cell, why a score of the column is missing; ``cell`` as for :meth:`arrays`."""
        of_maps = np.asarray(self._outcome)
        outcomes = np.where(self.ok, self._by_record(self._of(column), self._score_outcomes, 0), of_maps)
        texts = [f"{status}: {reason}" if reason else status for status, reason in self._outcomes]
        return {i: texts[outcome] for i, outcome in zip(cell.tolist(), outcomes.tolist(), strict=True) if outcome}

    def arrays(
        self, cell: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], int]:
        """The arrays, once all records were added.

        Args:
            cell: (records,) int, the cell of each record: its row · images + the position of its image.
            shape: how many rows and images there are.

        Returns:
            (columns, rows, images) float, the mean over seeds, NaN where any seed's score is missing; (columns, rows,
            images) bool, where a score is missing because it has no meaning there; per column with scores against
            turned masks, (rows, images, turns) float; and the most maps that a method has of an image.
        """
        columns = self.columns
        size = math.prod(shape)
        seen = np.bincount(cell, minlength=size)
        is_skipped = np.array([status == "skipped" for status, _ in self._outcomes])
        without_map = is_skipped[np.asarray(self._outcome)]

        def mean(values: np.ndarray) -> np.ndarray:
            """(rows, images) over the records of a cell, added one after the other; NaN where there is none."""
            with np.errstate(invalid="ignore"):
                total = np.bincount(cell, values, minlength=size) / seen
            return np.asarray(total.reshape(shape))

        # Memory is laid out image by image: on this depends how NumPy rounds sums over images.
        all_values = np.full((*shape, len(columns)), np.nan)
        all_skipped = np.zeros(all_values.shape, bool)
        all_nulls = {}
        of_nulls = np.repeat(np.asarray(self._column), self._turns)
        for i, column in enumerate(columns):
            of = self._of(column)
            all_values[..., i] = mean(self._by_record(of, self._values, np.nan))
            skipped = without_map | is_skipped[self._by_record(of, self._score_outcomes, 0)]
            all_skipped[..., i] = np.bincount(cell, skipped, minlength=size).reshape(shape) > 0
            turns = self._by_record(of, self._turns, 0)
            if turns.any():
                drawn = np.full((len(cell), turns.max()), np.nan)
                drawn[np.arange(turns.max()) < turns[:, None]] = np.asarray(self._nulls)[
                    of_nulls == self._columns[column.name][0]
                ]
                all_nulls[column.name] = np.stack([mean(turn) for turn in drawn.T], axis=-1)
        return np.moveaxis(all_values, -1, 0), np.moveaxis(all_skipped, -1, 0), all_nulls, int(seen.max(initial=0))
