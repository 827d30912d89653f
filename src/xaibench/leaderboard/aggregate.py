"""Records to leaderboards: one value per method and image, then ranks and groups over images."""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from xaibench.errors import UserError
from xaibench.leaderboard import statistics
from xaibench.leaderboard.board import Column, Leaderboard, Row
from xaibench.record import Record, Store

# What a reader looks at first, in this order. The first of all columns that has a better end and is no gate ranks the
# methods.
MAIN_COLUMNS = (
    *("srg", "deletion", "insertion", "auroc-thin", "auroc-thick", "lift-thin", "lift-thick"),
    *("thin-gap", "thin-gap-matched", "srg-thin", "srg-thick", "fp-lift"),
)
_FEWER_STEPS = re.compile(r"\[steps=\d+\]$")
_COST = ("seconds", "passes")  # these stand at the end of a row and are read off the record itself

Image = tuple[str, str]  # id and digest: one id with two contents is two images


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
    groups = grouped(records)
    if not groups:
        raise UserError("The run holds no record yet.", "Give the command it was started with again.")
    targets = sorted({key[-1] for key in groups})
    if target is not None and target not in targets:
        raise UserError(f"The run has no records for the target {target!r}.", f"It has {', '.join(targets)}.")
    return [
        _board(group, [case for dataset, case in sorted(asked) if dataset == key[0]], seed)
        for key, group in groups.items()
        if target in (None, key[-1])
    ]


def grouped(records: Iterable[Record]) -> dict[tuple[str, ...], list[Record]]:
    """The merged records by what one leaderboard is about: dataset, split, model, weights digest and target."""
    groups: dict[tuple[str, ...], list[Record]] = defaultdict(list)
    for r in merge(records):
        groups[r.dataset, r.split, r.model, r.weights_digest, r.target].append(r)
    return {key: groups[key] for key in sorted(groups, key=lambda key: (*key[:-1], key[-1] != "vessels", key[-1]))}


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
    report: Callable[[Path, str], object] | None = None,
) -> list[Leaderboard]:
    """The leaderboards of one run, or of several taken together, see :func:`leaderboards`.

    Args:
        stores: the runs.
        target: only this one.
        seed: of the bootstrap.
        report: called with each damaged file and the reason; such a record counts as one that is not there.
    """
    records, asked = read_records(stores, report)
    return leaderboards(records, target=target, seed=seed, asked=asked)


def read_records(
    stores: Sequence[Store], report: Callable[[Path, str], object] | None = None
) -> tuple[list[Record], set[tuple[str, str]]]:
    """All records, and (dataset, case id) of what was asked for; see :func:`read_leaderboards`."""
    asked: set[tuple[str, str]] = set()
    for run in (store.read_run() for store in stores):
        if isinstance(run.get("cases"), list):
            asked |= {(str(run.get("dataset")), str(case)) for case in run["cases"]}
    records: list[Record] = []
    for store in stores:
        good, damaged = store.scan()
        records += good
        if report is not None:
            for path, reason in damaged:
                report(path, reason)
    return records, asked


def merge(records: Iterable[Record]) -> list[Record]:
    """The records sorted by key, each key once: what is ok goes before what is not, and scores are joined."""
    found: dict[str, list[Record]] = defaultdict(list)
    for r in records:
        found[r.map_key].append(r)
    return [_joined(found[key]) for key in sorted(found)]


def _joined(same: list[Record]) -> Record:
    if len(same) == 1:
        return same[0]
    best = [r for r in same if r.status == "ok"] or same
    scores = sorted((s for r in best for s in r.scores), key=lambda s: (s.metric, s.status == "ok", s.key))
    base = min(best, key=lambda r: (r.seconds, r.status, r.reason))
    return dataclasses.replace(base, scores=list({s.metric: s for s in scores}.values()))


def _board(records: list[Record], asked: list[str], seed: int) -> Leaderboard:
    about = records[0]
    known = {r.case for r in records}
    images = sorted({(r.case, r.case_digest) for r in records} | {(case, "") for case in asked if case not in known})
    labels = labels_of(records)
    methods = sorted(set(labels.values()))

    columns = sorted(_columns(records), key=lambda c: (_place(c.name), c.family, c.name))
    values, skipped, nulls = _gathered(records, columns, methods, images, labels)
    primary = next((c for c in columns if c.better != "none" and c.gate is None), None)
    main = values[columns.index(primary)] if primary else np.full((len(methods), len(images)), np.nan)

    rows, order, comparison = _ranked(_rows(records, methods, images, labels), primary, main)
    gaps = _gaps(records, primary, methods, images, labels, main) if primary else {}
    return Leaderboard(
        *(about.dataset, about.split, about.model, about.weights_digest, about.target),
        cases=tuple(case for case, _ in images),
        rows=tuple(rows),
        columns=tuple(columns),
        values=values[:, order],
        skipped=skipped[:, order],
        nulls={name: null[order] for name, null in nulls.items()},
        primary=primary,
        comparison=comparison,
        gaps={r.method: gaps[r.method] for r in rows if r.method in gaps},
        seed=seed,
    )


def main_stem(name: str) -> str:
    """The name of a column without the number of its steps, which does not make it another measure.

    Example:
        >>> main_stem("srg[steps=10]"), main_stem("srg[fill=blur]")
        ('srg', 'srg[fill=blur]')
    """
    return _FEWER_STEPS.sub("", name)


def _place(name: str) -> float:
    stem = main_stem(name)
    return MAIN_COLUMNS.index(stem) if stem in MAIN_COLUMNS else len(MAIN_COLUMNS)


def method_of(r: Record) -> tuple[str, str, str]:
    """What makes two records of one method: its name with parameters, its distribution and that one's version."""
    return r.spec, r.distribution, r.version


def labels_of(records: list[Record]) -> dict[tuple[str, str, str], str]:
    """The name of each method's row: what the user typed, with the version where two of them stand side by side."""
    methods = sorted({method_of(r) for r in records})
    specs = [spec for spec, _, _ in methods]
    return {m: m[0] if specs.count(m[0]) == 1 else f"{m[0]} @{m[1]} {m[2]}" for m in methods}


def _columns(records: list[Record]) -> list[Column]:
    found: dict[str, Column] = {}
    for r in records:
        for s in r.scores:
            if s.metric not in found and s.metric not in _COST:
                found[s.metric] = Column(s.metric, s.better, s.low, s.high, s.family, s.gate)
    return list(found.values())


def _gathered(
    records: list[Record], columns: list[Column], methods: list[str], images: list[Image], labels: dict
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What the leaderboard holds as values, skipped and nulls, the rows in the order of ``methods``.

    A value is the mean over seeds, and NaN where any seed's score is missing.
    """
    place = {c.name: i for i, c in enumerate(columns)}
    row = {m: i for i, m in enumerate(methods)}
    where = {image: i for i, image in enumerate(images)}
    turns: dict[str, int] = {}
    for s in (s for r in records for s in r.scores if s.null and s.metric in place):
        turns[s.metric] = max(turns.get(s.metric, 0), len(s.null))
    most = max(turns.values(), default=0)
    shape = (len(methods), len(images))
    total, seen = np.zeros((*shape, len(columns))), np.zeros((*shape, 1))
    skipped = np.zeros((*shape, len(columns)), bool)
    drawn = np.zeros((*shape, len(turns), most))
    for r in records:
        cell = row[labels[method_of(r)]], where[r.case, r.case_digest]
        values = [np.nan] * len(columns)
        null: dict[str, tuple[float, ...]] = dict.fromkeys(turns, ())
        for s in r.scores:
            if s.metric in place:
                i = place[s.metric]
                if s.value is not None:
                    values[i] = s.value
                elif s.status == "skipped":
                    skipped[cell][i] = True
                if s.null:
                    null[s.metric] = s.null
        skipped[cell] |= r.status == "skipped"
        total[cell] += values
        drawn[cell] += [[*v, *[np.nan] * (most - len(v))] for v in null.values()]
        seen[cell] += 1
    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no record is the NaN that is meant
        total, drawn = total / seen, drawn / seen[..., None]
    nulls = {name: drawn[:, :, i, :n] for i, (name, n) in enumerate(turns.items())}
    return np.moveaxis(total, -1, 0), np.moveaxis(skipped, -1, 0), nulls


def _rows(records: list[Record], methods: list[str], images: list[Image], labels: dict) -> list[Row]:
    mine: dict[str, list[Record]] = defaultdict(list)
    for r in records:
        mine[labels[method_of(r)]].append(r)
    rows = []
    for m in methods:
        lost = {(r.case, r.case_digest) for r in mine[m] if r.status != "ok"}
        done = {(r.case, r.case_digest) for r in mine[m]} - lost
        # A run that made no map of the images, such as one of the truth metrics, has no cost to show.
        complete = len(done) == len(images) and all(r.seconds > 0 for r in mine[m])
        rows.append(
            Row(
                method=m,
                family=mine[m][0].family,
                control=mine[m][0].control,
                coverage=len(done) / len(images),
                seconds=float(np.mean([r.seconds for r in mine[m]])) if complete else np.nan,
                passes=float(np.mean([r.passes for r in mine[m]])) if complete else np.nan,
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


def _gaps(
    records: list[Record], primary: Column, methods: list[str], images: list[Image], labels: dict, main: np.ndarray
) -> dict[str, list[tuple[str, str]]]:
    """Per method, (case, reason) of each primary score that is missing."""
    reasons: dict[tuple[str, Image], str] = {}
    for r in records:
        entry = next((s for s in r.scores if s.metric == primary.name), None)
        status, reason = (entry.status, entry.reason) if r.status == "ok" and entry else (r.status, r.reason)
        if status != "ok":
            reasons[labels[method_of(r)], (r.case, r.case_digest)] = f"{status}: {reason}" if reason else status
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for m, i in zip(*np.nonzero(np.isnan(main)), strict=True):
        found[methods[m]].append((images[i][0], reasons.get((methods[m], images[i]), "not computed")))
    return found
