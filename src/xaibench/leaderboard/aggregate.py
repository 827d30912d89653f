"""Records to leaderboards: one value per method and image, then ranks and groups over images."""

from __future__ import annotations

import dataclasses
import gc
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from xaibench.errors import UserError
from xaibench.leaderboard.batch import Batch, Report, merge, read_batches
from xaibench.leaderboard.gather import (
    Gathered,
    Gathering,
    Group,
    Key,
    MethodKey,
    Places,
    Source,
    asked_images,
    gather,
    survey,
)
from xaibench.leaderboard.leaderboard import Column, Leaderboard, Row
from xaibench.leaderboard.statistics import rank_tests as statistics
from xaibench.record import Record, Store
from xaibench.record.manifest import ColumnInfo


def leaderboards(
    records: Iterable[Record], *, target: str | None = None, seed: int = 0, asked: Collection[tuple[str, str]] = ()
) -> list[Leaderboard]:
    """One leaderboard per dataset, split, model and target, sorted by these, the target ``vessels`` first.

    Several seeds of one cell count as one value, their mean.

    Args:
        records: in any order; several of one key are merged.
        target: only this one.
        seed: of the bootstrap.
        asked: (dataset, case id) of what was asked for, whether or not a record has reached it.

    Raises:
        UserError: if there is no record, or none of that target.
    """
    batch = Batch(merge(records))
    return _leaderboards(lambda: [batch] if len(batch) else [], target, seed, asked, {})


def grouped(records: Iterable[Record]) -> dict[Key, list[Record]]:
    """The merged records by what one leaderboard is about: dataset, split, model, weights digest and target."""
    groups: dict[Key, list[Record]] = defaultdict(list)
    for r in merge(records):
        groups[r.dataset, r.split, r.model, r.weights_digest, r.target].append(r)
    return {key: groups[key] for key in sorted(groups, key=_order)}


def aggregate(
    records: Iterable[Record], *, target: str | None = None, seed: int = 0, asked: Collection[tuple[str, str]] = ()
) -> Leaderboard:
    """The one leaderboard of the records, see :func:`leaderboards`; with several targets, that of ``vessels``.

    Raises:
        UserError: also if the records make several leaderboards.
    """
    boards = leaderboards(records, target=target, seed=seed, asked=asked)
    boards = [b for b in boards if b.target == "vessels"] or boards
    if len(boards) > 1:
        about = "; ".join(f"{b.dataset} {b.split}, {b.model}, target {b.target}" for b in boards)
        raise UserError(f"The records make {len(boards)} leaderboards: {about}.", "Ask for one of them.")
    return boards[0]


def read_leaderboards(
    stores: Sequence[Store],
    *,
    target: str | None = None,
    seed: int = 0,
    report: Report | None = None,
) -> list[Leaderboard]:
    """The leaderboards of one run, or of several taken together, see :func:`leaderboards`.

    Args:
        stores: the runs.
        target: only this one.
        seed: of the bootstrap.
        report: called with each damaged file and the reason; such a record counts as one that is not there.
    """
    readings = iter([read_batches(stores, report), read_batches(stores, again=True)])
    with _no_cycles():
        return _leaderboards(lambda: next(readings), target, seed, asked_of(stores), columns_of(stores))


@contextmanager
def _no_cycles() -> Iterator[None]:
    """No search for cyclic garbage: none is made here, and among millions of objects it takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _leaderboards(
    source: Source,
    target: str | None,
    seed: int,
    asked: Collection[tuple[str, str]],
    infos: Mapping[str, ColumnInfo],
) -> list[Leaderboard]:
    groups, trace = survey(source())
    if not groups:
        raise UserError("The run holds no record yet.", "Give the command it was started with again.")
    targets = sorted({key[-1] for key in groups})
    if target is not None and target not in targets:
        raise UserError(f"The run has no records for the target {target!r}.", f"It has {', '.join(targets)}.")
    drafts = {
        number: _Draft(group, [case for dataset, case in sorted(asked) if dataset == key[0]], infos)
        for number, (key, group) in enumerate(groups.items())
        if target in (None, key[-1])
    }
    gather(source, trace, {number: draft.gathering for number, draft in drafts.items()})
    order = sorted(drafts, key=lambda n: _order(drafts[n].group.key))
    return [_board(drafts.pop(number), seed) for number in order]


def _order(key: Key) -> tuple[object, ...]:
    return (*key[:-1], key[-1] != "vessels", key[-1])


def read_records(stores: Sequence[Store], report: Report | None = None) -> tuple[list[Record], set[tuple[str, str]]]:
    """All records, and (dataset, case id) of what was asked for; see :func:`read_leaderboards`."""
    asked = asked_of(stores)
    records: list[Record] = []
    for store in stores:
        good, damaged = store.scan()
        records += good
        if report is not None:
            for path, reason in damaged:
                report(path, reason)
    return records, asked


def asked_of(stores: Sequence[Store]) -> set[tuple[str, str]]:
    """(dataset, case id) of what the runs asked for."""
    asked: set[tuple[str, str]] = set()
    for run in (store.read_run() for store in stores):
        asked |= {(str(run.dataset), case) for case in run.cases}
    return asked


def columns_of(stores: Sequence[Store]) -> dict[str, ColumnInfo]:
    """What the runs' manifests declare of columns; the first run that declares one counts."""
    return {name: info for store in reversed(stores) for name, info in store.read_run().columns.items()}


class _Draft:
    """A leaderboard whose scores are still to come."""

    def __init__(self, group: Group, asked: list[str], infos: Mapping[str, ColumnInfo]) -> None:
        self.group = group
        self.labels = _labels(group.methods)
        self.methods = sorted(set(self.labels.values()))
        self.images = asked_images(group, asked)
        columns = group.columns(infos)
        self.primary = next((c for c in columns if c.better != "none" and c.gate is None), None)
        row = {label: i for i, label in enumerate(self.methods)}
        where = {image: i for i, image in enumerate(self.images)}
        self.places = Places(
            row=np.array([row[self.labels[m]] for m in group.methods]),
            where=np.array([where[image] for image in group.images]),
            images=len(self.images),
            columns=columns,
            primary=self.primary,
        )
        self.gathering = Gathering(group, self.places)


def _board(draft: _Draft, seed: int) -> Leaderboard:
    group, columns, primary, images = draft.group, draft.places.columns, draft.primary, draft.images
    found = draft.gathering.finish()
    main = found.values[columns.index(primary)] if primary else np.full((len(draft.methods), len(images)), np.nan)
    rows, order, comparison = _ranked(_rows(draft), primary, main)
    gaps = _gaps(draft, found, main) if primary else {}
    return Leaderboard(
        *group.key,
        cases=tuple(case for case, _ in images),
        rows=tuple(rows),
        columns=tuple(columns),
        values=found.values[:, order],
        skipped=found.skipped[:, order],
        nulls={name: null[order] for name, null in found.nulls.items()},
        primary=primary,
        comparison=comparison,
        gaps={r.method: gaps[r.method] for r in rows if r.method in gaps},
        seed=seed,
        seeds=found.seeds,
    )


def method_of(r: Record) -> MethodKey:
    """What makes two records of one method: its name with parameters, its distribution and that one's version."""
    return r.spec, r.distribution, r.version


def labels_of(records: list[Record]) -> dict[MethodKey, str]:
    """The name of each method's row: what the user typed, with the version where two of them stand side by side."""
    return _labels({method_of(r) for r in records})


def _labels(keys: Collection[MethodKey]) -> dict[MethodKey, str]:
    methods = sorted(keys)
    specs = [spec for spec, _, _ in methods]
    return {m: m[0] if specs.count(m[0]) == 1 else f"{m[0]} @{m[1]} {m[2]}" for m in methods}


def _rows(draft: _Draft) -> list[Row]:
    group, images = draft.group, len(draft.images)
    row = draft.places.row[np.array(group.method)]
    image, ok = np.array(group.image), np.array(group.code) == 0
    seconds, passes = np.array(group.seconds, float), np.array(group.passes)
    about: dict[str, tuple[str, bool]] = {}  # of the label's first record
    for method, (_, family, control) in group.methods.items():
        about.setdefault(draft.labels[method], (family, control))
    rows = []
    for i, label in enumerate(draft.methods):
        mine = row == i
        done = len(np.setdiff1d(image[mine], image[mine & ~ok]))
        # A run that made no map of the images, such as one of the truth metrics, has no cost to show.
        complete = done == images and bool((seconds[mine] > 0).all())
        rows.append(
            Row(
                method=label,
                family=about[label][0],
                control=about[label][1],
                coverage=done / images,
                seconds=float(np.mean(seconds[mine])) if complete else np.nan,
                passes=float(np.mean(passes[mine])) if complete else np.nan,
            )
        )
    return rows


def _ranked(
    rows: list[Row], primary: Column | None, main: np.ndarray
) -> tuple[list[Row], list[int], statistics.Comparison]:
    """The rows with rank and group in the order of the table, that order, and the comparison of the ranked ones."""
    oriented = primary.orient(main) if primary else main
    complete = ~np.isnan(oriented).any(1)
    entrants = [i for i, r in enumerate(rows) if complete[i] and not r.control]
    mean_ranks = statistics.ranks(oriented[entrants]).mean(1)
    by_rank = np.argsort(mean_ranks, kind="stable")
    entrants, mean_ranks = [entrants[i] for i in by_rank], mean_ranks[by_rank]
    comparison = statistics.compare(oriented[entrants])
    for place, i in enumerate(entrants):
        rows[i] = dataclasses.replace(
            rows[i],
            rank=1 + int((mean_ranks < mean_ranks[place] - 1e-9).sum()),
            mean_rank=float(mean_ranks[place]),
            group=comparison.letters[place] if comparison.letters else "",
        )
    others = [i for i in range(len(rows)) if i not in entrants]
    level = np.where(complete, oriented.mean(1), -np.inf)
    others.sort(key=lambda i: (rows[i].control, -level[i], rows[i].method))
    order = entrants + others
    return [rows[i] for i in order], order, comparison


def _gaps(draft: _Draft, found: Gathered, main: np.ndarray) -> dict[str, list[tuple[str, str]]]:
    """Per method, (case, reason) of each primary score that is missing."""
    gaps: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for m, i in zip(*(a.tolist() for a in np.nonzero(np.isnan(main))), strict=True):
        gaps[draft.methods[m]].append((draft.images[i][0], found.reasons.get((m, i), "not computed")))
    return gaps
