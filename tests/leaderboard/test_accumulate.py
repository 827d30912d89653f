"""Leaderboards equal those of plain loops over records, bit for bit."""

import functools
import operator
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.synthetic import leaderboards, record, stored
from xaibench.leaderboard.accumulate import key_of, method_of
from xaibench.leaderboard.aggregate import labels_of, read_leaderboards
from xaibench.leaderboard.default_columns import default_info
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.merge import merge
from xaibench.leaderboard.tables.render import render
from xaibench.record import Record
from xaibench.record import store as store_module
from xaibench.record.manifest import ColumnInfo, Manifest

METRICS = ["srg", "deletion", "thin-gap", "auroc-thin", "mprt", "sparseness", "seconds"]


def made_up(seed: int) -> list[Record]:
    """Records with all that can be missing: cells, maps, scores, chance; with several seeds, versions, models."""
    rng, found = random.Random(seed), []
    seeds = rng.choice([1, 1, 2, 4])
    for model in ["m1", "m2"][: rng.randint(1, 2)]:
        for target in ["vessels", "thin", "all"][: rng.randint(1, 3)]:
            for m in range(rng.randint(1, 6)):
                for version in ["1", "2"][: 1 + (rng.random() < 0.2)]:
                    about: dict[str, Any] = {"model": model, "weights_digest": model * 8, "control": m == 0}
                    about |= {"target": target, "version": version}
                    spec = f"m{m}[x={m}]" if m % 2 else f"m{m}"
                    for case in range(rng.randint(5, 12) if rng.random() < 0.3 else 9):
                        found += [
                            cell(rng, spec, case, about | {"seed": s}) for s in range(seeds) if rng.random() > 0.02
                        ]
    return found


def cell(rng: random.Random, spec: str, case: int, about: dict[str, Any]) -> Record:
    scores: dict[str, float | str | None] = {}
    nulls: dict[str, Sequence[float]] = {}
    for metric in rng.sample(METRICS, len(METRICS)) if rng.random() < 0.3 else METRICS:
        q = rng.random()
        if q > 0.02:
            value = rng.choice([rng.gauss(0, 1), 0.0, -0.0, 1e-17])
            scores[metric] = None if q < 0.04 else "skipped" if q < 0.07 else value
        if metric in ("auroc-thin", "srg"):
            nulls[metric] = [rng.random() for _ in range(rng.choice([7, 7, 7, 3, 0]))]
    status = rng.choice(["ok"] * 30 + ["failed", "skipped"])
    about |= {"status": status, "reason": "" if status == "ok" else rng.choice(["", "why"])}
    about |= {"seconds": rng.choice([rng.random() + 0.1] * 40 + [0.0]), "passes": rng.randint(0, 9)}
    about["case_digest"] = f"d{case}" if rng.random() < 0.98 else f"other{case}"
    return record(spec, f"{case:02d}", scores if status == "ok" or rng.random() < 0.5 else {}, nulls, **about)


def check(board: Leaderboard, records: list[Record]) -> None:
    """Hold a board against plain loops over its records, which come in the order of their keys."""
    labels = labels_of(map(method_of, records))
    images = sorted({(r.case, r.case_digest) for r in records})
    entries = [s for r in records for s in r.scores if s.metric != "seconds"]
    assert set(board.columns) == {Column.of(s, default_info(s.metric)) for s in entries}
    turns = {c.name: max((len(s.null) for s in entries if s.metric == c.name), default=0) for c in board.columns}
    # Memory is laid out image by image.
    values, skipped = (np.zeros((len(board.rows), len(images), len(board.columns)), dtype) for dtype in (float, bool))
    nulls = {name: np.zeros((len(board.rows), len(images), n)) for name, n in turns.items() if n}
    gaps: dict[str, list[tuple[str, str]]] = {}
    for i, row in enumerate(board.rows):
        mine = [r for r in records if labels[method_of(r)] == row.method]
        failed = {(r.case, r.case_digest) for r in mine if r.status != "ok"}
        done = {(r.case, r.case_digest) for r in mine} - failed
        assert (row.family, row.control, row.coverage) == (mine[0].family, mine[0].control, len(done) / len(images))
        complete = len(done) == len(images) and all(r.seconds > 0 for r in mine)
        for name in ("seconds", "passes"):
            expected = np.mean([getattr(r, name) for r in mine]) if complete else np.nan
            np.testing.assert_equal(getattr(row, name), expected)
        for j, image in enumerate(images):
            cell = [r for r in mine if (r.case, r.case_digest) == image]
            for k, column in enumerate(board.columns):
                scores = [next((s for s in r.scores if s.metric == column.name), None) for r in cell]
                values[i, j, k] = mean([np.nan if s is None or s.value is None else s.value for s in scores])
                skipped[i, j, k] = "skipped" in {x.status for x in (*cell, *scores) if x}
                for turn in range(turns[column.name]):
                    drawn = [s.null[turn] if s and turn < len(s.null) else np.nan for s in scores]
                    nulls[column.name][i, j, turn] = mean(drawn)
                if column == board.primary and np.isnan(values[i, j, k]):
                    found = [r if r.status != "ok" else s for r, s in zip(cell, scores, strict=True)]
                    reasons = [f"{x.status}: {x.reason}".removesuffix(": ") for x in found if x and x.status != "ok"]
                    last = [*reasons, "not computed"][max(0, len(reasons) - 1)]
                    gaps.setdefault(row.method, []).append((image[0], last))
    for array, expected in ((board.values, values), (board.skipped, skipped)):
        expected = np.moveaxis(expected, -1, 0)[:, list(range(len(board.rows)))]
        np.testing.assert_array_equal(array, expected)
        assert array.strides == expected.strides
    np.testing.assert_equal(board.nulls, nulls)
    assert board.gaps == gaps


def mean(values: list[float]) -> float:
    """The mean of values that are added one after the other."""
    return functools.reduce(operator.add, values, 0.0) / len(values) if values else np.nan


@pytest.mark.parametrize("seed", range(12))
def test_boards_are_those_of_plain_loops(seed: int, tmp_path: Path) -> None:
    records = made_up(seed)
    store = stored(tmp_path, records)
    once, twice = ([*merge([[r] for r in n * records])] for n in (1, 2))  # of two runs, each cell is merged with itself
    by_records = leaderboards(records)
    for boards, merged in (
        (by_records, once),
        (read_leaderboards([store]), once),
        (read_leaderboards([store, store]), twice),
    ):
        keys = {key_of(r) for r in merged}
        assert [b.key for b in boards] == sorted(keys, key=lambda k: (*k[:-1], k[-1] != "vessels", k[-1]))
        for board in boards:
            check(board, [r for r in merged if key_of(r) == board.key])
        for form in ("csv", "markdown", "table"):
            assert render(boards, form) == render(by_records, form)


def test_a_record_that_vanishes_or_appears_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [record(f"m{m}", f"{c:02d}", {"srg": m + c / 10}) for m in range(4) for c in range(8)]
    store = stored(tmp_path, every)
    *_, gone = sorted(every, key=lambda r: r.map_key)
    new = record("m9", "00", {"srg": 0.5})
    told: list[str] = []
    folders: list[str] = []

    def listed(folder: Path) -> list[str]:
        """The names of a folder, of which one is removed and one added once the first folder was read."""
        names = sorted(p.name for p in folder.iterdir())
        folders.append(folder.name)
        if folder.name == gone.map_key[:2]:
            store.cell_path(gone.map_key).unlink()
            store.write(new)
        return names

    monkeypatch.setattr(store_module, "_listed", listed)
    (board,) = read_leaderboards([store], report=lambda path, reason: told.append(reason))
    assert told == [] and gone.map_key[:2] in folders
    lost = {(board.rows[i].method, board.cases[j]) for i, j in np.argwhere(np.isnan(board.values[0])).tolist()}
    assert (gone.method, gone.case) in lost and {m for m, _ in lost} <= {gone.method, "m9"}


def test_columns_are_as_the_manifest_declares_them(tmp_path: Path) -> None:
    store = stored(tmp_path, [record("m", "01", {"srg": 0.5, "mine": 0.25, "deletion": 0.1})])
    info = ColumnInfo(label="Mine", explanation="What mine is.", main=0, narrow=False)
    store.write_run(Manifest(columns={"mine": info, "deletion": ColumnInfo()}))
    (board,) = read_leaderboards([store])
    assert [c.name for c in board.columns] == ["mine", "srg", "deletion"] and board.primary == board.columns[0]
    mine, srg, deletion = board.columns
    assert (mine.label, mine.explanation, mine.main, mine.narrow) == ("Mine", "What mine is.", 0, False)
    assert (srg.label, srg.main, srg.narrow) == ("srg", 0, False) and srg.explanation
    assert (deletion.label, deletion.main) == ("deletion", None)
