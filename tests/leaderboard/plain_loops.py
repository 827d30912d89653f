"""What a leaderboard gathers, by plain loops over records: slow, and the reference for what is fast."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from xaibench.leaderboard.accumulate import Image, method_of
from xaibench.leaderboard.default_columns import default_info
from xaibench.leaderboard.leaderboard import Column, Row
from xaibench.record import Record

_COST = ("seconds", "passes")


def _columns(records: list[Record]) -> list[Column]:
    found: dict[str, Column] = {}
    for r in records:
        for s in r.scores:
            if s.metric not in found and s.metric not in _COST:
                found[s.metric] = Column.of(s, default_info(s.metric))
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
