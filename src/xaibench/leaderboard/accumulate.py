"""The scores of one leaderboard, accumulated record by record into arrays."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Method:
    """A method of a leaderboard: its number, and what its first record says of it."""

    number: int
    family: str
    control: bool


@dataclass
class _Scores:
    """One column's scores by the numbers of their records; ``outcomes`` says why a score is missing."""

    column: Column
    records: array[int] = field(default_factory=lambda: array("I"))
    values: array[float] = field(default_factory=lambda: array("d"))
    missing: array[int] = field(default_factory=lambda: array("I"))
    outcomes: array[int] = field(default_factory=lambda: array("I"))


@dataclass
class _Nulls:
    """One column's scores against turned masks: of each record how many, and all of them one after the other."""

    records: array[int] = field(default_factory=lambda: array("I"))
    turns: array[int] = field(default_factory=lambda: array("I"))
    values: array[float] = field(default_factory=lambda: array("d"))


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a leaderboard shows what was accumulated.

    Attributes:
        row: (methods,) int, the row of each method by its number.
        position: (images,) int, the position of each image by its number.
        shape: how many rows and images there are.
        columns: in their order.
    """

    row: np.ndarray
    position: np.ndarray
    shape: tuple[int, int]
    columns: list[Column]


@dataclass(frozen=True, eq=False)
class Arrays:
    """The scores of one leaderboard.

    Attributes:
        values: (columns, rows, images) float, the mean over seeds, NaN where any seed's score is missing.
        skipped: (columns, rows, images) bool, where a score is missing because it has no meaning there.
        nulls: per column with scores against turned masks, (rows, images, turns) float.
        seeds: the most maps that a method has of an image.
    """

    values: np.ndarray
    skipped: np.ndarray
    nulls: dict[str, np.ndarray]
    seeds: int


class Accumulator:
    """Gathers the records of one leaderboard; they come in the order of their keys.

    Attributes:
        key: dataset, split, model, weights digest, target.
        methods: those that records are of.
        images: each with its number.
        method, image: the numbers of each record's method and image.
        seconds, passes: each record's cost.

    Args:
        key: of all records that will be added.
        infos: what the run's manifest says of columns; those of edition one are known without.
    """

    def __init__(self, key: Key, infos: Mapping[str, ColumnInfo]) -> None:
        self.key = key
        self.methods: dict[MethodKey, Method] = {}
        self.images: dict[Image, int] = {}
        self.method, self.image, self.seconds, self.passes = array("I"), array("I"), array("d"), array("q")
        self._infos = infos
        self._outcomes: dict[_Outcome, int] = {("ok", ""): 0}
        self._outcome = array("I")  # of each record's map
        self._scores: dict[str, _Scores] = {}
        self._nulls: dict[str, _Nulls] = {}

    def add(self, r: Record) -> None:
        """Add one record."""
        number, which = len(self.method), method_of(r)
        method = self.methods.get(which)
        if method is None:
            method = self.methods[which] = Method(len(self.methods), r.family, r.control)
        self.method.append(method.number)
        self.image.append(self.images.setdefault((r.case, r.case_digest), len(self.images)))
        self.seconds.append(r.seconds)
        self.passes.append(r.passes)
        self._outcome.append(self._number(r.status, r.reason) if r.status != "ok" else 0)
        for s in r.scores:
            metric, value = s.metric, s.value
            scores = self._scores.get(metric)
            if scores is None:
                if metric in _COST:
                    continue
                info = self._infos.get(metric) or default_info(metric)
                scores = self._scores[metric] = _Scores(Column.of(s, info))
            if value is not None:
                scores.records.append(number)
                scores.values.append(value)
            else:
                scores.missing.append(number)
                scores.outcomes.append(self._number(s.status, s.reason))
            if s.null:
                nulls = self._nulls.get(metric) or self._nulls.setdefault(metric, _Nulls())
                nulls.records.append(number)
                nulls.turns.append(len(s.null))
                nulls.values.extend(s.null)

    def _number(self, status: str, reason: str) -> int:
        return self._outcomes.setdefault((status, reason), len(self._outcomes))

    def columns(self) -> list[Column]:
        """The columns in the order of tables: main ones first; each has the range of its first score."""
        columns = [scores.column for scores in self._scores.values()]
        return sorted(columns, key=lambda c: (math.inf if c.main is None else c.main, c.family, c.name))

    @property
    def ok(self) -> np.ndarray:
        """(records,) bool, whether the record has a map."""
        return np.asarray(np.asarray(self._outcome) == 0)

    def reasons(self, column: Column, placement: Placement) -> dict[tuple[int, int], str]:
        """By row and image, why a score of the column is missing."""
        outcomes = np.array(self._outcome)
        scores = self._scores[column.name]
        # Where a record has two scores of one name, the first counts: it is assigned last.
        missing, why = np.array(scores.missing)[::-1], np.array(scores.outcomes)[::-1]
        has_map = self.ok[missing]
        outcomes[missing[has_map]] = why[has_map]
        texts = [f"{status}: {reason}" if reason else status for status, reason in self._outcomes]
        rows, positions = placement.row[np.asarray(self.method)], placement.position[np.asarray(self.image)]
        (lost,) = np.nonzero(outcomes)
        return {(int(rows[i]), int(positions[i])): texts[outcomes[i]] for i in lost}

    def finish(self, placement: Placement) -> Arrays:
        """The arrays, once all records were added; the accumulator then holds no scores any more."""
        rows, images = placement.shape
        cell = placement.row[np.asarray(self.method)] * images + placement.position[np.asarray(self.image)]
        seen = np.bincount(cell, minlength=rows * images)
        is_skipped = np.array([status == "skipped" for status, _ in self._outcomes])
        without_map = is_skipped[np.asarray(self._outcome)]

        def mean(values: np.ndarray) -> np.ndarray:
            """(rows, images) over the records of a cell, added one after the other; NaN where there is none."""
            with np.errstate(invalid="ignore"):
                total = np.bincount(cell, values, minlength=rows * images) / seen
            return np.asarray(total.reshape(rows, images))

        # Memory is laid out image by image: on this depends how NumPy rounds sums over images.
        all_values = np.full((rows, images, len(placement.columns)), np.nan)
        all_skipped = np.zeros(all_values.shape, bool)
        for i, column in enumerate(placement.columns):
            scores = self._scores.pop(column.name)
            values = np.full(len(cell), np.nan)
            values[np.asarray(scores.records)] = np.asarray(scores.values)
            all_values[..., i] = mean(values)
            skipped = without_map.copy()
            skipped[np.asarray(scores.missing)[is_skipped[np.asarray(scores.outcomes)]]] = True
            all_skipped[..., i] = np.bincount(cell, skipped, minlength=rows * images).reshape(rows, images) > 0
        all_nulls = {}
        for name in list(self._nulls):
            nulls = self._nulls.pop(name)
            turns = np.asarray(nulls.turns)
            drawn = np.full((len(cell), int(turns.max())), np.nan)
            first = np.cumsum(turns) - turns
            for turn in range(drawn.shape[1]):
                has = turns > turn
                values = np.full(len(turns), np.nan)
                values[has] = np.asarray(nulls.values)[first[has] + turn]
                drawn[np.asarray(nulls.records), turn] = values
            all_nulls[name] = np.stack([mean(drawn[:, turn]) for turn in range(drawn.shape[1])], axis=-1)
        seeds = int(seen.max(initial=0))
        return Arrays(np.moveaxis(all_values, -1, 0), np.moveaxis(all_skipped, -1, 0), all_nulls, seeds)
