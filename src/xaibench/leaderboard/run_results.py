"""A leaderboard with the records it was made of: curves over images, which map is whose, and what was lost."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xaibench.leaderboard.accumulate import Key, key_of, method_of
from xaibench.leaderboard.aggregate import labels_of, leaderboards
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.merge import merge
from xaibench.record import Record, Store
from xaibench.record.store import Report, ignore

POINTS = 25  # of a curve whose images have no points in common


@dataclass(frozen=True)
class Curve:
    """One curve per image, on the same points.

    Attributes:
        x: (n,) float, ascending.
        y: (images, n) float, NaN where an image has no such point.
    """

    x: np.ndarray
    y: np.ndarray

    def mean(self) -> np.ndarray:
        """(n,) mean over the images that have the point, NaN where fewer than half of them do."""
        there = np.isfinite(self.y)
        total = np.where(there, self.y, 0).sum(0)
        count = there.sum(0)
        return np.where(2 * count >= len(self.y), total / np.maximum(count, 1), np.nan)

    def band(self) -> np.ndarray:
        """(2, n) 10th and 90th percentiles over images of what :meth:`mean` is the mean of."""
        enough = np.isfinite(self.mean())
        ends = np.full((2, self.x.size), np.nan)
        if enough.any():
            ends[:, enough] = np.nanpercentile(self.y[:, enough], (10, 90), axis=0)
        return ends


@dataclass(frozen=True)
class Loss:
    """A reason for which something is not there.

    Attributes:
        status: ``"skipped"`` or ``"failed"``.
        reason: why.
        what: methods, or metrics where the map is there.
        count: how many maps or scores.
    """

    status: str
    reason: str
    what: tuple[str, ...]
    count: int


@dataclass(frozen=True, eq=False)
class Result:
    """A leaderboard and its records.

    Attributes:
        board: the leaderboard.
        records: merged, each key once.
    """

    board: Leaderboard
    records: list[Record]

    @cached_property
    def _found(self) -> dict[tuple[str, str], Record]:
        labels = labels_of(map(method_of, self.records))
        # Of several seeds the first: a map is shown, not a mean of maps.
        return {(labels[method_of(r)], r.case): r for r in sorted(self.records, key=lambda r: -r.seed)}

    def record(self, method: str, case: str) -> Record | None:
        """The record of a row on an image, both as the leaderboard calls them."""
        return self._found.get((method, case))

    def curve(self, metric: str, method: str) -> Curve | None:
        """A method's curves of a metric over all images that have one; None if none has."""
        found = [self.record(method, case) for case in self.board.cases]
        entries = [s for r in found if r is not None for s in r.scores if s.metric == metric]
        curves = [s.curve for s in entries if s.status == "ok" and s.curve is not None]
        return _together([(np.array(c["x"], float), np.array(c["y"], float)) for c in curves]) if curves else None


def read_results(
    stores: Sequence[Store],
    *,
    target: str | None = None,
    report: Report = ignore,
) -> list[Result]:
    """As :func:`~xaibench.leaderboard.aggregate.read_leaderboards`, with the records beside each leaderboard."""
    records = list(merge(store.records(report) for store in stores))
    boards = leaderboards(records, [store.read_run() for store in stores], target=target)
    groups: dict[Key, list[Record]] = defaultdict(list)
    for r in records:
        groups[key_of(r)].append(r)
    return [Result(board, groups[board.key]) for board in boards]


def losses(records: Iterable[Record], wanted: Callable[[str], bool] = lambda metric: True) -> list[Loss]:
    """What failed or was skipped, each distinct reason once.

    Args:
        records: whose.
        wanted: whether a metric counts.
    """
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for r in records:
        if r.status != "ok":
            found[r.status, r.reason][r.spec] += 1
            continue
        for s in r.scores:
            if s.status != "ok" and wanted(s.metric):
                found[s.status, s.reason][s.metric] += 1
    return [Loss(s, r, tuple(sorted(what)), what.total()) for (s, r), what in sorted(found.items())]


def _together(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> Curve:
    every = [x for x, _ in curves]
    union = np.unique(np.concatenate(every))
    if all(x.size == union.size for x in every) or (union == np.rint(union)).all():
        stacked = np.full((len(curves), union.size), np.nan)  # of whole pixels an image may lack some
        for row, (x, y) in zip(stacked, curves, strict=True):
            row[np.searchsorted(union, x)] = y
        return Curve(union, stacked)
    grid = np.linspace(union[0], union[-1], POINTS)
    return Curve(grid, np.array([np.interp(grid, x, y, np.nan, np.nan) for x, y in curves]))
