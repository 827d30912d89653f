"""Batches of records to what one leaderboard is about: its methods, images and columns, and their scores as arrays.

The records are gone through twice, so that no more of them is in memory than one batch and the arrays: once for what
there is, and once for the scores, each of which then has its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from xaibench.leaderboard.batch import Batch, Kind
from xaibench.leaderboard.default_columns import default_info
from xaibench.leaderboard.leaderboard import Column
from xaibench.record.entry import ABOUT, CODES, OK, SKIPPED
from xaibench.record.manifest import ColumnInfo

_COST = ("seconds", "passes")  # these stand at the end of a row and are read off the record itself
_PLACE = {name: i for i, name in enumerate(ABOUT)}
_STATUS = {code: status for status, code in CODES.items()}

Key = tuple[str, str, str, str, str]  # dataset, split, model, weights digest, target
MethodKey = tuple[str, str, str]  # spec, distribution, version: what makes two records of one method
Image = tuple[str, str]  # id and digest: one id with two contents is two images
Source = Callable[[], Iterable[Batch]]  # called twice, for the same batches


@dataclass
class Group:
    """What the records of one leaderboard are about, in the order of their keys.

    Attributes:
        key: dataset, split, model, weights digest, target.
        methods: each with its number, its family, and whether it is a control.
        images: each with its number.
        kinds: of scores that the records have, in the order of their first one.
        method, image, code, seconds, passes: one per record; numbers, the place of the map's status, and its cost.
    """

    key: Key
    methods: dict[MethodKey, tuple[int, str, bool]] = field(default_factory=dict)
    images: dict[Image, int] = field(default_factory=dict)
    kinds: dict[Kind, None] = field(default_factory=dict)
    method: list[int] = field(default_factory=list)
    image: list[int] = field(default_factory=list)
    code: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)

    def columns(self, infos: Mapping[str, ColumnInfo]) -> list[Column]:
        """The metrics, sorted; where records disagree on a metric's range, the first one counts."""
        found: dict[str, Column] = {}
        for s in (s for kind in self.kinds for s in kind.scores):
            if s.metric not in found and s.metric not in _COST:
                found[s.metric] = Column.of(s, infos.get(s.metric) or default_info(s.metric))  # type: ignore[arg-type]
        return sorted(found.values(), key=lambda c: (math.inf if c.main is None else c.main, c.family, c.name))


@dataclass(frozen=True, eq=False)
class Gathered:
    """The scores of one leaderboard.

    Attributes:
        values: (columns, methods, images) float, the mean over seeds, NaN where any seed's score is missing.
        skipped: (columns, methods, images) bool, where it is missing because it has no meaning there.
        nulls: per column with chance scores, (methods, images, turns) float.
        reasons: of the primary column, by (method, image), why the score is missing.
        seeds: the most maps that a method has of an image.
    """

    values: np.ndarray
    skipped: np.ndarray
    nulls: dict[str, np.ndarray]
    reasons: dict[tuple[int, int], str]
    seeds: int


@dataclass(frozen=True, eq=False)
class Places:
    """Where the scores of a group go: places of its methods and images by number, its columns, the ranking one."""

    row: np.ndarray
    where: np.ndarray
    images: int
    columns: list[Column]
    primary: Column | None


def survey(batches: Iterable[Batch]) -> tuple[dict[Key, Group], list[tuple[np.ndarray, list[str]]]]:
    """The groups, and per batch the group number of each record and its key."""
    groups: dict[Key, Group] = {}
    numbers: dict[Key, int] = {}
    trace = []
    about = tuple(_PLACE[n] for n in ("dataset", "split", "model", "weights_digest", "target"))
    method = tuple(_PLACE[n] for n in ("spec", "distribution", "version"))
    case, digest, seconds, passes = (_PLACE[n] for n in ("case", "case_digest", "seconds", "passes"))
    family, control = _PLACE["family"], _PLACE["control"]
    for batch in batches:
        found = []
        seen: set[tuple[int, int]] = set()  # a kind is long to hash
        for i, (kind, code) in enumerate(zip(batch.kinds, batch.codes.tolist(), strict=True)):
            f = batch.about(i)
            key = f[about[0]], f[about[1]], f[about[2]], f[about[3]], f[about[4]]
            group = groups.get(key)
            if group is None:
                group, numbers[key] = groups.setdefault(key, Group(key)), len(groups) - 1
            found.append(numbers[key])
            which = f[method[0]], f[method[1]], f[method[2]]
            known = group.methods.get(which)
            if known is None:
                known = group.methods[which] = len(group.methods), f[family], f[control]
            group.method.append(known[0])
            group.image.append(group.images.setdefault((f[case], f[digest]), len(group.images)))
            group.code.append(code)
            group.seconds.append(f[seconds])
            group.passes.append(f[passes])
            if (id(kind), found[-1]) not in seen:
                seen.add((id(kind), found[-1]))
                group.kinds.setdefault(kind)
        trace.append((np.array(found), batch.keys))
    return groups, trace


class Gathering:
    """The arrays of one leaderboard, filled batch by batch."""

    def __init__(self, group: Group, places: Places) -> None:
        self._group, self._places = group, places
        self._row = places.row[np.array(group.method, int)]
        self._where = places.where[np.array(group.image, int)]
        self._column = {c.name: i for i, c in enumerate(places.columns)}
        self._turns: dict[str, int] = {}
        for kind in group.kinds:
            for s, turns in zip(kind.scores, kind.turns, strict=True):
                if turns and s.metric in self._column:
                    self._turns[s.metric] = max(self._turns.get(s.metric, 0), turns)
        self._routes = {kind: self._route(kind) for kind in group.kinds}
        shape = (int(places.row.max()) + 1, places.images)
        self._total = np.zeros((*shape, len(places.columns)))
        self._seen = np.zeros((*shape, 1))
        self._skipped = np.zeros((*shape, len(places.columns)), bool)
        self._drawn = {name: np.zeros((*shape, n)) for name, n in self._turns.items()}
        self._reasons: dict[tuple[int, int], str] = {}
        # Where several seeds share a cell, they must be added one after the other.
        cells = self._row * places.images + self._where
        self._several = len(np.unique(cells)) < len(cells)

    def _route(self, kind: Kind) -> tuple[list[tuple[np.ndarray, np.ndarray]], int | None]:
        """Which scores of a kind go to which columns, and which is the primary one.

        Where a record has two scores of one name, the later one goes over the earlier, in a second part.
        """
        parts: list[dict[int, int]] = []
        primary = None
        for j, s in enumerate(kind.scores):
            column = self._column.get(s.metric)
            if column is None:
                continue
            part = next((p for p in parts if column not in p), None)
            if part is None:
                parts.append(part := {})
            part[column] = j
            if primary is None and self._places.primary is not None and s.metric == self._places.primary.name:
                primary = j
        return [(np.array(list(p.values())), np.array(list(p))) for p in parts], primary

    def add(self, batch: Batch, mine: np.ndarray, which: np.ndarray) -> None:
        """Add records of the group: their places in a batch, and among the group's records."""
        n = len(mine)
        cell = self._row[which], self._where[which]
        local = np.full(len(batch), -1)
        local[mine] = np.arange(n)
        values = np.full((n, self._total.shape[2]), np.nan)
        skipped = np.zeros(values.shape, bool)
        drawn = {name: np.full((n, turns), np.nan) for name, turns in self._turns.items()}
        primary = np.full(n, -1)  # the place of the primary score in its record
        codes = batch.codes[mine]
        status = codes.copy()
        for block in batch.blocks:
            part = np.nonzero(local[block.where] >= 0)[0]
            if not part.size or block.kind not in self._routes:  # it was written anew since the survey
                continue
            at = local[block.where[part]]
            routes, main = self._routes[block.kind]
            for scores, columns in routes:
                code = block.codes[np.ix_(part, scores)]
                to = np.ix_(at, columns)
                values[to] = np.where(code == OK, block.values[np.ix_(part, scores)], values[to])
                skipped[to] |= code == SKIPPED
            if main is not None:
                primary[at] = main
                status[at] = np.where(codes[at] == OK, block.codes[part, main], status[at])
            first = 0
            for s, turns in zip(block.kind.scores, block.kind.turns, strict=True):
                if turns and s.metric in drawn:
                    drawn[s.metric][at] = np.nan
                    drawn[s.metric][at, :turns] = block.nulls[part, first : first + turns]
                first += turns
        skipped |= (codes == SKIPPED)[:, None]
        if self._several:
            np.add.at(self._total, cell, values)
            for name, null in drawn.items():
                np.add.at(self._drawn[name], cell, null)
            np.add.at(self._seen, cell, 1)
            np.logical_or.at(self._skipped, cell, skipped)
        else:
            self._total[cell] += values
            for name, null in drawn.items():
                self._drawn[name][cell] += null
            self._seen[cell] += 1
            self._skipped[cell] |= skipped
        for i in np.nonzero(status != OK)[0].tolist() if self._places.primary is not None else ():
            reason = batch.reason(int(mine[i]), int(primary[i]) if codes[i] == OK else None)
            word = _STATUS[int(status[i])]
            self._reasons[int(cell[0][i]), int(cell[1][i])] = f"{word}: {reason}" if reason else word

    def finish(self) -> Gathered:
        """The arrays, once all batches were added; this object holds none of them any more."""
        total, drawn, seen, skipped = self._total, self._drawn, self._seen, self._skipped
        del self._total, self._drawn, self._seen, self._skipped
        seeds = int(seen.max(initial=0))
        with np.errstate(invalid="ignore"):  # 0 / 0 where there is no record is the NaN that is meant
            total /= seen
            for null in drawn.values():
                null /= seen
        return Gathered(np.moveaxis(total, -1, 0), np.moveaxis(skipped, -1, 0), drawn, self._reasons, seeds)


def gather(source: Source, trace: list[tuple[np.ndarray, list[str]]], wanted: dict[int, Gathering]) -> None:
    """Go through the records again and add those of each wanted group, by its number, to its arrays.

    A record that has come since the survey is left out, and one that has gone is as one that never was.
    """
    number = np.concatenate([n for n, _ in trace])
    which = np.zeros(len(number), int)
    for g in wanted:
        which[number == g] = np.arange((number == g).sum())
    start = 0
    known: dict[str, int] = {}
    for batch, (_, keys) in zip(source(), trace, strict=False):
        if batch.keys == keys:
            places, positions = np.arange(len(keys)), np.arange(start, start + len(keys))
        else:
            known = known or {key: i for i, key in enumerate(key for _, keys in trace for key in keys)}
            found = [(i, known[key]) for i, key in enumerate(batch.keys) if key in known]
            places, positions = np.array(found, int).reshape(-1, 2).T
        for g, gathering in wanted.items():
            mine = number[positions] == g
            if mine.any():
                gathering.add(batch, places[mine], which[positions[mine]])
        start += len(keys)


def asked_images(group: Group, asked: Collection[str]) -> list[Image]:
    """The images of a group and those that were asked for and not reached, sorted."""
    known = {case for case, _ in group.images}
    return sorted({*group.images} | {(case, "") for case in asked if case not in known})
