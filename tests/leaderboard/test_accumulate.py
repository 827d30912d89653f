"""Leaderboards equal those of plain loops over records, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.plain_loops import _columns, _gaps, _gathered, _rows
from leaderboard.synthetic import record
from xaibench.leaderboard.aggregate import grouped, labels_of, leaderboards, read_leaderboards
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.tables.render import render
from xaibench.record import Record, Store
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
                    for case in range(rng.randint(5, 12) if rng.random() < 0.3 else 9):
                        about: dict[str, Any] = {"model": model, "weights_digest": model * 8}
                        about |= {"target": target, "version": version}
                        found += [
                            cell(
                                rng, f"m{m}[x={m}]" if m % 2 else f"m{m}", case, about | {"seed": s, "control": m == 0}
                            )
                            for s in range(seeds)
                            if rng.random() > 0.02
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


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.strides == b.strides and a.tobytes() == b.tobytes()


def check(board: Leaderboard, records: list[Record]) -> None:
    """Hold a board against the loops."""
    labels = labels_of(records)
    methods = sorted(set(labels.values()))
    images = sorted({(r.case, r.case_digest) for r in records})
    columns = {c.name: c for c in _columns(records)}
    assert set(board.columns) == set(columns.values())
    values, skipped, nulls = _gathered(records, list(board.columns), methods, images, labels)
    order = [methods.index(r.method) for r in board.rows]
    assert same(board.values, values[:, order]) and same(board.skipped, skipped[:, order])
    assert list(board.nulls) == list(nulls)
    assert all(same(board.nulls[name], null[order]) for name, null in nulls.items())
    plain = {r.method: r for r in _rows(records, methods, images, labels)}
    for row in board.rows:
        expected = plain[row.method]
        for name in ("family", "control", "coverage", "seconds", "passes"):
            assert repr(getattr(row, name)) == repr(getattr(expected, name))
    assert board.primary is not None
    main = values[board.columns.index(board.primary)]
    gaps = _gaps(records, board.primary, methods, images, labels, main)
    assert board.gaps == gaps


@pytest.mark.parametrize("seed", range(12))
def test_boards_are_those_of_plain_loops(seed: int, tmp_path: Path) -> None:
    records = made_up(seed)
    store = Store(tmp_path)
    for r in records:
        store.write(r)
    by_records = leaderboards(records)
    twice = grouped(records * 2)  # of two runs taken together, each cell is merged with itself
    read = (by_records, grouped(records)), (read_leaderboards([store]), grouped(records))
    for boards, groups in (*read, (read_leaderboards([store, store]), twice)):
        assert [(b.dataset, b.split, b.model, b.weights_digest, b.target) for b in boards] == list(groups)
        for board in boards:
            check(board, groups[board.dataset, board.split, board.model, board.weights_digest, board.target])
        for form in ("csv", "markdown", "table"):
            assert render(boards, form) == render(by_records, form)


def test_a_record_that_vanishes_or_appears_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    every = [record(f"m{m}", f"{c:02d}", {"srg": m + c / 10}) for m in range(4) for c in range(8)]
    for r in every:
        store.write(r)
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
    store = Store(tmp_path)
    store.write(record("m", "01", {"srg": 0.5, "mine": 0.25, "deletion": 0.1}))
    info = ColumnInfo(label="Mine", explanation="What mine is.", main=0, narrow=False)
    store.write_run(Manifest(columns={"mine": info, "deletion": ColumnInfo()}))
    (board,) = read_leaderboards([store])
    assert [c.name for c in board.columns] == ["mine", "srg", "deletion"] and board.primary == board.columns[0]
    mine, srg, deletion = board.columns
    assert (mine.label, mine.explanation, mine.main, mine.narrow) == ("Mine", "What mine is.", 0, False)
    assert (srg.label, srg.main, srg.narrow) == ("srg", 0, False) and srg.explanation
    assert (deletion.label, deletion.main) == ("deletion", None)
