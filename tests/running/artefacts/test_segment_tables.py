"""The tables of segments and of false positives that a run leaves."""

import csv
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import GreenFilter, draw_eye
from torch import Tensor

from running.bench import Bench
from xaibench.data.anatomy.segments import vessel_segments
from xaibench.data.case import Case
from xaibench.data.cases import Cases
from xaibench.errors import Skipped
from xaibench.record.store import Store
from xaibench.registry import explainer
from xaibench.running.artefacts import segment_tables as tables
from xaibench.running.artefacts.segment_tables import (
    ABOUT,
    FALSE_POSITIVE_COLUMNS,
    SEGMENT_COLUMNS,
    rows_of,
    write_tables,
)
from xaibench.scorer import Scorer, target

MODEL = GreenFilter(0.4, 8.0)
METHODS = ("uniform", "vessels-oracle", "prediction")


def eye(i: int) -> Case:
    """The first has a dark spot that is no vessel, the second has none."""
    case = draw_eye(image_seed=i, id=str(i))
    image = case.image.clone()
    if i == 0:
        image[:, 40:43, 15:23] = 0.2
    return replace(case, image=image)


CASES = Cases("mine", "test", ("0", "1"), lambda i: eye(int(i)))
SPOT = np.zeros(CASES[0].fov.shape, bool)
SPOT[40:43, 15:23] = True


def run(store: Store, *methods: Any, cases: Cases = CASES, **setting: Any) -> None:
    bench, methods = Bench(store, (), MODEL, cases), methods or METHODS
    bench(*methods, setting=setting)
    write_tables(bench.run(*methods, setting=setting), cases)


def write_anew(store: Store) -> None:
    write_tables(Bench(store, (), MODEL).run(*METHODS, force=True), CASES)


def read(store: Store, name: str) -> list[dict[str, str]]:
    with (store.root / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the cases whose rows were computed."""
    ids: list[str] = []

    def noted(case: Case, *rest: Any) -> Any:
        ids.append(case.id)
        return rows_of(case, *rest)

    monkeypatch.setattr(tables, "rows_of", noted)
    return ids


def test_a_segments_row_says_what_it_is_and_what_each_map_says_of_it() -> None:
    case = CASES[0]
    segments = vessel_segments(case)
    prediction = np.where(case.thick.numpy(), 0.9, 0.1)
    maps = {"thick[a=1,b=2]": case.thick.numpy(), "nothing": np.zeros(SPOT.shape)}
    rows = rows_of(case, prediction, maps, np.random.default_rng(0))["segments"]
    assert len(rows) == len(segments) == 4 and tuple(rows[0]) == (*SEGMENT_COLUMNS, "thick[a=1,b=2]", "nothing")
    assert {r["nothing"] for r in rows} == {1.0}
    for i, row in enumerate(rows):
        on = segments.labels == i
        expected = case.thick.numpy()[on].mean() / case.thick.numpy()[case.fov.numpy()].mean()
        assert row["thick[a=1,b=2]"] == pytest.approx(expected, rel=1e-5)
        assert row["segment"] == i and on[row["y"], row["x"]] and row["pixels"] == on.sum()
        assert row["found"] is not row["thin"] is (row["caliber"] == 1.0)
        assert row["contrast"] == pytest.approx(0.58, abs=0.03)


def test_a_false_positives_row_says_where_it_is() -> None:
    case = CASES[0]
    prediction = target("vessels", MODEL, case).prediction.numpy()
    rows = rows_of(case, prediction, {"spot": SPOT}, np.random.default_rng(0))["components"]
    assert len(rows) == 1 and tuple(rows[0]) == (*FALSE_POSITIVE_COLUMNS, "spot")
    assert rows[0]["spot"] == pytest.approx(case.fov.sum().item() / 24, rel=1e-5)
    assert rows[0]["pixels"] == 24 and SPOT[rows[0]["y"], rows[0]["x"]]
    assert rows[0]["vesselness"] > rows[0]["matched"] and rows[0]["percentile"] > 0.9


def test_a_run_leaves_both_files(store: Store) -> None:
    run(store)
    segments, errors = read(store, "segments.csv"), read(store, "false_positives.csv")
    specs = sorted(METHODS)
    assert list(segments[0]) == [*ABOUT, *SEGMENT_COLUMNS, *specs]
    assert list(errors[0]) == [*ABOUT, *FALSE_POSITIVE_COLUMNS, *specs]
    assert [r["case"] for r in segments] == ["0"] * 4 + ["1"] * 4
    assert [(r["case"], r["component"], r["pixels"]) for r in errors] == [("0", "0", "24")]
    assert {(r["dataset"], r["model"], r["target"], r["seed"]) for r in segments} == {("mine", "net", "vessels", "0")}
    assert {r["uniform"] for r in segments + errors} == {"1.0"} and errors[0]["vessels-oracle"] == "0.0"
    assert {r["found"] for r in segments} == {"True"}
    assert float(errors[0]["prediction"]) > 1


def test_no_errors_leave_an_empty_table(store: Store) -> None:
    run(store, cases=CASES[1:])
    assert read(store, "false_positives.csv") == [] and len(read(store, "segments.csv")) == 4
    assert (store.root / "false_positives.csv").read_text().startswith("dataset,case,model,target,seed,component")


def test_what_is_there_is_not_computed_again(store: Store, computed: list[str]) -> None:
    run(store, cases=CASES[:1])
    run(store)
    assert computed == ["0", "1"]
    before = {name: (store.root / name).read_bytes() for name in ("segments.csv", "false_positives.csv")}
    run(store)
    assert computed == ["0", "1"]
    write_anew(store)
    assert computed == ["0", "1", "0", "1"]
    assert before == {name: (store.root / name).read_bytes() for name in before}


@pytest.mark.parametrize("contents", [("{", "[]"), ()], ids=["damaged", "of another version"])
def test_what_is_damaged_or_of_another_version_is(
    store: Store, computed: list[str], contents: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store)
    for path, content in zip(store.root.glob("tables/*/*.json"), contents, strict=False):
        path.write_text(content)
    if not contents:
        monkeypatch.setattr(tables, "version", lambda name: "another")
    run(store)
    assert computed == ["0", "1", "0", "1"] and len(read(store, "segments.csv")) == 8


def test_another_method_is_one_more_column(store: Store, computed: list[str]) -> None:
    run(store)
    before = read(store, "segments.csv")
    run(store, "random", cases=CASES[:1])
    assert computed == ["0", "1", "0"]
    after = read(store, "segments.csv")
    assert [r["random"] == "" for r in after] == [False] * 4 + [True] * 4
    assert [{k: v for k, v in r.items() if k != "random"} for r in after] == before


def test_other_settings_and_merged_folders_are_rows_of_the_same_files(store: Store, tmp_path: Path) -> None:
    run(store, cases=CASES[:1])
    other = Store(tmp_path / "other")
    run(other, target="thin", seed=3)
    shutil.copytree(other.root, store.root, dirs_exist_ok=True)
    run(store, cases=CASES[:1])
    about = [(r["target"], r["seed"], r["case"]) for r in read(store, "segments.csv")]
    assert about[::4] == [("thin", "3", "0"), ("vessels", "0", "0"), ("thin", "3", "1")]


def test_a_method_without_a_map_has_an_empty_column_or_none(store: Store) -> None:
    @explainer("moody", family="gradient")
    def moody(scorer: Scorer, image: Tensor) -> Tensor:
        """Works on the first eye only."""
        if image[1, 41, 18] > 0.3:
            raise Skipped("not here")
        return image[1]

    run(store, moody, *METHODS)
    assert [r["moody"] == "" for r in read(store, "segments.csv")] == [False] * 4 + [True] * 4
    gone = next(r for r in store.records() if r.spec == "prediction" and r.case == "0")
    store.map_path(gone.map_key).unlink()
    write_anew(store)
    assert [r["prediction"] == "" for r in read(store, "segments.csv")] == [True] * 4 + [False] * 4


def test_of_an_edited_function_its_newest_map_counts(store: Store) -> None:
    def made(sign: float) -> Callable[..., Tensor]:
        def mine(scorer: Scorer, image: Tensor) -> Tensor:
            return scorer.target.mask.float() if sign > 0 else 1 - scorer.target.mask.float()

        return mine

    for sign in (1.0, -1.0, 1.0):
        run(store, made(sign), cases=CASES[:1])
        assert {float(r["mine"]) > 0 for r in read(store, "segments.csv")} == {sign > 0}
