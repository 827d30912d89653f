"""Records to leaderboards: one value per method and image, then ranks and groups over images."""

import dataclasses
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from xaibench.errors import UserError
from xaibench.leaderboard.accumulate import Accumulator, Key, MethodKey, key_of
from xaibench.leaderboard.leaderboard import Leaderboard, Row
from xaibench.leaderboard.merge import merge
from xaibench.leaderboard.statistics import rank_tests as statistics
from xaibench.record import Record, Store
from xaibench.record.manifest import Manifest
from xaibench.record.store import Report, ignore


def leaderboards(
    records: Iterable[Record],
    manifests: Sequence[Manifest] = (),
    *,
    target: str | None = None,
    seed: int = 0,
) -> list[Leaderboard]:
    """One leaderboard per dataset, split, model and target, sorted by these, the target ``vessels`` first.

    Several seeds of one cell count as one value, their mean.

    Args:
        records: in the order of their keys, each key once, see :func:`~xaibench.leaderboard.merge.merge`.
        manifests: of the runs. Their images count whether or not a record has reached them. The first manifest that
            declares a column counts; the columns of edition one are known without.
        target: only this one.
        seed: of the bootstrap.

    Raises:
        UserError: if there is no record, or none of that target.
    """
    asked = {(str(manifest.dataset), case) for manifest in manifests for case in manifest.cases}
    infos = {name: info for manifest in reversed(manifests) for name, info in manifest.columns.items()}
    targets: set[str] = set()
    accumulators: dict[Key, Accumulator] = {}
    for r in records:
        targets.add(r.target)
        if target in (None, r.target):
            key = key_of(r)
            if key not in accumulators:
                accumulators[key] = Accumulator(key, infos)
            accumulators[key].add(r)
    if not targets:
        raise UserError("The run holds no record yet.", "Give the command it was started with again.")
    if target is not None and target not in targets:
        raise UserError(f"The run has no records for the target {target!r}.", f"It has {', '.join(sorted(targets))}.")
    # Each accumulator is released once its leaderboard is made.
    order = sorted(accumulators, key=lambda key: (*key[:-1], key[-1] != "vessels", key[-1]))
    return [_board(accumulators.pop(key), asked, seed) for key in order]


def read_leaderboards(
    stores: Sequence[Store],
    *,
    target: str | None = None,
    seed: int = 0,
    report: Report = ignore,
) -> list[Leaderboard]:
    """The leaderboards of one run, or of several taken together, see :func:`leaderboards`.

    The records are read once, one at a time, without their curves.

    Args:
        stores: the runs.
        target: only this one.
        seed: of the bootstrap.
        report: called with each damaged file and the reason; such a record counts as absent.
    """
    manifests = [store.read_run() for store in stores]
    return leaderboards(merge(store.stream(report) for store in stores), manifests, target=target, seed=seed)


def labels_of(methods: Iterable[MethodKey]) -> dict[MethodKey, str]:
    """The name of each method's row: what the user typed, with the version where two of them stand side by side."""
    keys = sorted(set(methods))
    specs = [spec for spec, _, _ in keys]
    return {m: m[0] if specs.count(m[0]) == 1 else f"{m[0]} @{m[1]} {m[2]}" for m in keys}


def _board(found: Accumulator, asked: Collection[tuple[str, str]], seed: int) -> Leaderboard:
    reached = {case for case, _ in found.images}
    unreached = {(case, "") for dataset, case in asked if dataset == found.key[0] and case not in reached}
    images = sorted({*found.images} | unreached)
    labels = labels_of(found.methods)
    methods = sorted(labels, key=labels.__getitem__)
    columns = found.columns
    primary = next((c for c in columns if c.better != "none" and c.gate is None), None)
    row = np.array([methods.index(m) for m in found.methods])[np.asarray(found.method)]
    image = np.array([bisect_left(images, image) for image in found.images])[np.asarray(found.image)]
    shape = len(methods), len(images)
    cell = row * len(images) + image
    reasons = found.reasons(primary, cell) if primary else {}
    values, skipped, nulls, seeds = found.arrays(cell, shape)
    main = values[columns.index(primary)] if primary else np.full(shape, np.nan)
    unranked = [_row(found, m, labels[m], row == i, image, len(images)) for i, m in enumerate(methods)]
    rows, order, comparison = _ranked(unranked, primary.orient(main) if primary else main)
    gaps: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for place, i in np.argwhere(np.isnan(main[order])).tolist() if primary else ():
        reason = reasons.get(order[place] * len(images) + i, "not computed")
        gaps[rows[place].method].append((images[i][0], reason))
    return Leaderboard(
        *found.key,
        cases=tuple(case for case, _ in images),
        rows=tuple(rows),
        columns=tuple(columns),
        values=values[:, order],
        skipped=skipped[:, order],
        nulls={name: null[order] for name, null in nulls.items()},
        primary=primary,
        comparison=comparison,
        gaps=gaps,
        seed=seed,
        seeds=seeds,
    )


def _row(found: Accumulator, method: MethodKey, label: str, mine: np.ndarray, image: np.ndarray, images: int) -> Row:
    """The row of a method, not yet ranked.

    Args:
        found: the records.
        method: whose row.
        label: its name.
        mine: (records,) bool, the method's records.
        image: (records,) int, the image of each record.
        images: how many there are.
    """
    done = len(np.setdiff1d(image[mine], image[mine & ~found.ok]))
    # A run that made no map of the images, such as one of the truth metrics, has no cost to show.
    complete = done == images and (np.asarray(found.seconds)[mine] > 0).all()
    costs = [float(np.mean(np.asarray(c)[mine])) if complete else np.nan for c in (found.seconds, found.passes)]
    return Row(label, *found.methods[method], done / images, costs[0], costs[1])


def _ranked(rows: list[Row], oriented: np.ndarray) -> tuple[list[Row], list[int], statistics.Comparison]:
    """The rows with rank and group in the order of the table, that order, and the comparison of the ranked ones.

    Args:
        rows: in any order.
        oriented: (rows, images) scores in the primary column, higher is better.
    """
    entrants, mean_ranks, comparison = statistics.ranking(oriented, np.array([not r.control for r in rows]))
    for place, i in enumerate(entrants):
        rows[i] = dataclasses.replace(
            rows[i],
            rank=1 + int((mean_ranks < mean_ranks[place] - 1e-9).sum()),
            mean_rank=float(mean_ranks[place]),
            group=comparison.letters[place] if comparison.letters else "",
        )
    level = np.where(np.isnan(oriented).any(1), -np.inf, oriented.mean(1))
    others = [i for i, r in enumerate(rows) if r.rank is None]
    order = entrants + sorted(others, key=lambda i: (rows[i].control, -level[i], rows[i].method))
    return [rows[i] for i in order], order, comparison
