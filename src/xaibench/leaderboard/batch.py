"""Records by the thousand, as columns: what a leaderboard reads of them, and no curves."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xaibench.record import Record, Store
from xaibench.record.entry import ABOUT, CODES, Described, Entry

Report = Callable[[Path, str], object]


class Kind(NamedTuple):
    """Which scores a record has, and how many chance scores each of them."""

    scores: tuple[Described, ...]
    turns: tuple[int, ...]


class Block(NamedTuple):
    """The scores of records of one kind.

    Attributes:
        kind: of all of them.
        where: (n,) int, their places in the batch, ascending.
        codes: (n, scores) uint8, the place of each score's status in ``STATUSES``.
        values: (n, scores) float, NaN where there is none.
        nulls: (n, sum of the kind's turns) float.
    """

    kind: Kind
    where: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    nulls: np.ndarray


class Batch:
    """Records or entries of the index, sorted by key, each key once.

    Args:
        items: either, mixed as they come.
    """

    def __init__(self, items: Sequence[Entry | Record]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @cached_property
    def keys(self) -> list[str]:
        """The map keys."""
        return [item.map_key for item in self._items]

    @cached_property
    def codes(self) -> np.ndarray:
        """(records,) uint8, the place of each map's status in ``STATUSES``."""
        codes = [item.map_code if isinstance(item, Entry) else CODES[item.status] for item in self._items]
        return np.array(codes, np.uint8)

    @cached_property
    def kinds(self) -> list[Kind]:
        """One per record; the same object for records of one kind."""
        found: dict[Any, Kind] = {}
        kinds = []
        for item in self._items:
            if isinstance(item, Entry):
                name: Any = item.layout.digest, item.null_counts
                if name not in found:
                    found[name] = Kind(item.layout.scores, tuple(item.null_counts))
            else:
                name = Kind(
                    tuple(Described(s.metric, s.better, s.low, s.high, s.family, s.gate, "") for s in item.scores),
                    tuple(len(s.null) for s in item.scores),
                )
                found.setdefault(name, name)
            kinds.append(found[name])
        return kinds

    def about(self, place: int) -> list[Any]:
        """A record's fields in the order of :data:`~xaibench.record.entry.ABOUT`."""
        item = self._items[place]
        return item.about()[0] if isinstance(item, Entry) else [getattr(item, name) for name in ABOUT]

    def reason(self, place: int, score: int | None) -> str:
        """Why a record's map, or one of its scores, is missing."""
        item = self._items[place]
        if isinstance(item, Entry):
            fields, reasons = item.about()
            return str(fields[ABOUT.index("reason")] if score is None else reasons.get(str(score), ""))
        return item.reason if score is None else item.scores[score].reason

    @cached_property
    def blocks(self) -> list[Block]:
        """The scores, by kind."""
        places: dict[int, list[int]] = defaultdict(list)
        for place, kind in enumerate(self.kinds):
            places[id(kind)].append(place)
        return [self._block(self.kinds[where[0]], where) for where in places.values()]

    def _block(self, kind: Kind, where: list[int]) -> Block:
        items = [self._items[place] for place in where]
        entries = [item for item in items if isinstance(item, Entry)]
        records = [item for item in items if isinstance(item, Record)]  # a kind is of one or of the other
        n, width, turns = len(items), len(kind.scores), sum(kind.turns)
        if not width:
            return Block(kind, np.array(where), np.zeros((n, 0), np.uint8), np.zeros((n, 0)), np.zeros((n, 0)))
        if records:
            codes = np.array([[CODES[s.status] for s in r.scores] for r in records], np.uint8).reshape(n, width)
            values = [[np.nan if s.value is None else s.value for s in r.scores] for r in records]
            nulls = [[v for s in r.scores for v in s.null] for r in records]
            numbers = (np.array(x, float).reshape(n, size) for x, size in ((values, width), (nulls, turns)))
            return Block(kind, np.array(where), codes, *numbers)
        raw = len(entries[0].layout.unidentified)
        layout = [("codes", "u1", width), ("counts", "u1", width), ("values", "<f8", width)]
        fields = np.dtype([*layout, ("keys", "V12", raw), ("nulls", "<f8", turns)])
        found = np.frombuffer(b"".join([e.scores(fields.itemsize) for e in entries]), fields)
        return Block(kind, np.array(where), *(found[name].reshape(n, -1) for name in ("codes", "values", "nulls")))


def read_batches(stores: Sequence[Store], report: Report | None = None, *, again: bool = False) -> Iterator[Batch]:
    """The records of runs taken together, one batch per folder of their indices, in the order of their keys.

    Args:
        stores: the runs.
        report: called with each damaged file and the reason, run by run, once all is read.
        again: these stores were just read, and what has changed since need not be looked for.
    """
    damaged: dict[int, list[tuple[Path, str]]] = defaultdict(list)
    for prefix in sorted({prefix for store in stores for prefix in store.index.prefixes()}):
        folders = [(s.index.read_again if again else s.index.read)(prefix) for s in stores]
        for i, folder in enumerate(folders):
            damaged[i] += folder.damaged
        items: list[Entry | Record] = [e for f in folders for e in f.entries]
        items += [r for f in folders for r in f.odd]
        if len(stores) > 1 or folders[0].odd:
            items = _merged(items)
        if items:
            yield Batch(items)
    if report is not None:
        for i in range(len(stores)):
            for path, reason in damaged[i]:
                report(path, reason)


def _merged(items: Iterable[Entry | Record]) -> list[Entry | Record]:
    found: dict[str, list[Entry | Record]] = defaultdict(list)
    for item in items:
        found[item.map_key].append(item)
    return [
        same[0] if len(same) == 1 else joined([i.record() if isinstance(i, Entry) else i for i in same])
        for _, same in sorted(found.items())
    ]


def merge(records: Iterable[Record]) -> list[Record]:
    """The records sorted by key, each key once: what is ok goes before what is not, and scores are joined."""
    found: dict[str, list[Record]] = defaultdict(list)
    for r in records:
        found[r.map_key].append(r)
    return [joined(found[key]) for key in sorted(found)]


def joined(same: list[Record]) -> Record:
    """Records of one key as one."""
    if len(same) == 1:
        return same[0]
    best = [r for r in same if r.status == "ok"] or same
    scores = sorted((s for r in best for s in r.scores), key=lambda s: (s.metric, s.status == "ok", s.key))
    base = min(best, key=lambda r: (r.seconds, r.status, r.reason))
    return dataclasses.replace(base, scores=list({s.metric: s for s in scores}.values()))
