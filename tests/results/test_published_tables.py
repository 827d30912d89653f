"""One cell of each published table, computed anew, is what was published."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import xaibench as xb
from xaibench.errors import UserError
from xaibench.leaderboard.statistics.rank_tests import compare
from xaibench.record import Record, Store
from xaibench.record.published import is_published
from xaibench.running.request import Request, prepare
from xaibench.running.resolve import run_prepared

ROOT = Path(__file__).parents[2]
CHASE = ROOT.parent / "shared" / "data" / "CHASE_DB1"
TABLES = sorted(p.name for p in (ROOT / "results").iterdir() if is_published(p))
# Cheap ones, of different kinds; what a network computes may differ in the last digits between machines.
METRICS = ("auroc-thin", "auroc-thick", "lift-thin", "lift-thick", "srg")
CLOSE = {"rel": 2e-3, "abs": 2e-3}


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    if CHASE.is_dir():
        monkeypatch.setenv("XAIBENCH_CHASE", str(CHASE))


def cheapest(records: list[Record]) -> Record:
    """The cell that takes the fewest passes, of a method that has no chance in it."""
    methods = [r for r in records if r.status == "ok" and not r.control]
    asking = [r for r in methods if r.passes > 0] or methods  # where no metric reads the map, none is made
    return min(asking, key=lambda r: (r.passes, r.spec, r.case))


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("table", "target"),
    [(t, target) for t in TABLES for target in sorted({r.target for r in Store.open(ROOT / "results" / t).records()})],
)
def test_a_cell_computed_anew_is_the_published_one(table: str, target: str, tmp_path: Path) -> None:
    store = Store.open(ROOT / "results" / table)
    first = min(r.case for r in store.records())
    record = cheapest([r for r in store.records() if (r.target, r.case) == (target, first)])
    published = {s.metric: s.value for s in record.scores if s.status == "ok"}
    wanted = [m for m in METRICS if m in published] or [next(m for m in published if m.startswith(("planted", "mprt")))]
    name = str(store.read_run()["data"])
    try:
        case = xb.load_cases(name, split=record.split, count=1)[0]
    except UserError as absent:
        pytest.skip(f"{record.dataset} is not here: {absent}")
    assert (case.id, case.digest) == (record.case, record.case_digest), "another copy of the data"
    asked = Request(
        [record.spec],
        data=name,
        cases=1,
        split=record.split,
        model=record.model,
        target=target,
        metrics=wanted,
        seed=record.seed,
        out=tmp_path / "run",
    )
    prepared = prepare(asked)
    only = replace(prepared, methods=[m for m in prepared.methods if str(m) == record.spec])  # without the controls
    assert run_prepared(only, "a test", lambda event: None) == 0
    (again,) = Store.open(tmp_path / "run").records()
    assert (again.spec, again.case, again.weights_digest) == (record.spec, record.case, record.weights_digest)
    mine = {s.metric: s.value for s in again.scores}
    for metric in wanted:
        assert mine[metric] == pytest.approx(published[metric], **CLOSE), metric
    assert not any(math.isnan(mine[m]) for m in wanted)


def test_the_main_table_has_its_targets() -> None:
    targets = {r.target for r in Store.open(ROOT / "results" / "drive").records()}
    assert targets == {"vessels", "thin", "thick", "false-positives"}


def test_the_commands_are_those_of_the_tables(beside: Callable[[str], ModuleType]) -> None:
    """What ``make results`` makes is published, with its commands beside it and enough methods in each."""
    tables, make = beside("tables"), beside("make")
    assert set(TABLES) == set(tables.TABLES)
    assert len(tables.every_method()) >= 28 and len(tables.TELLING) >= 12
    for name in TABLES:
        store = Store.open(ROOT / "results" / name)
        shown = {(r.target, r.spec) for r in store.records()}
        there = {target for target, _ in shown}
        typed = (ROOT / "results" / name / "commands.txt").read_text().splitlines()
        parts = [p for p in tables.TABLES[name].parts if p.target in there]
        assert typed == [make.typed(tables.command(name, p)) for p in parts]
        for part in parts:
            for method in part.methods or tables.every_method():
                assert (part.target, method) in shown, f"{method} is missing in {name}, {part.target}"


@pytest.mark.parametrize("name", TABLES)
def test_the_page_of_the_table_is_what_the_published_records_say(
    name: str, beside: Callable[[str], ModuleType]
) -> None:
    assert beside("make").leaderboard(name) == (ROOT / "results" / name / "leaderboard.md").read_text()


@pytest.mark.parametrize("name", TABLES)
def test_the_page_of_claims_is_what_the_published_records_say(name: str, beside: Callable[[str], ModuleType]) -> None:
    page = ROOT / "results" / name / "claims.md"
    assert page.is_file() != beside("tables").TABLES[name].wide
    if page.is_file():
        assert beside("tables").said("claims", str(page.parent), "--format", "markdown") == page.read_text()


def test_other_networks_have_images_enough_to_tell_methods_apart(beside: Callable[[str], ModuleType]) -> None:
    tables = beside("tables")
    scores = np.arange(len(tables.TELLING))[:, None] + np.zeros(tables.TESTED)
    assert len(set(compare(scores).letters or [])) == len(tables.TELLING)
    assert compare(scores[:, 1:]).letters is None
