"""A run of many cells is planned, resumed and read in the time and memory that a million may take, pro rata."""

import csv
import os
import shutil
import time
from pathlib import Path

import pytest

from scale.measured import measure, measured
from scale.simulated import Simulation, digest, write
from xaibench.record.checksum import seal
from xaibench.record.score_table import csv_parts
from xaibench.record.store import Store, write_text
from xaibench.running.plan import SUITES, Kept, Plan, chosen_metrics

MILLION = Simulation(methods=100, models=10, images=1000)
LIMITS = {"plan": 30, "resume": 300, "table": 360}  # s for a million cells
MEMORY = 4  # GB
ENTRIES = 5000  # of one folder

SMALL = Simulation(methods=40, models=1, images=50, points=0)
LARGE = Simulation(methods=40, models=1, images=100, points=0)


def most_entries(root: Path) -> int:
    return max(len(folders) + len(files) for _, folders, files in os.walk(root))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[Simulation, Store]:
    folder = tmp_path_factory.mktemp("runs")
    return {s: write(s, folder / str(s.cells), processes=1) for s in (SMALL, LARGE)}


def test_simulated_records_are_as_large_as_real_ones(tmp_path: Path) -> None:
    simulation = Simulation(methods=12, models=2, images=3)
    store = write(simulation, tmp_path, processes=1)
    good, damaged = store.scan()
    assert not damaged and len(good) == simulation.cells
    size = sum(p.stat().st_size for p in tmp_path.glob("cells/*/*.json")) / simulation.cells
    assert 19_000 < size < 22_000  # a standard run's records on phantoms of 128 px: 18.8 to 20.7 kB


def test_what_is_missing_is_what_the_records_say(tmp_path: Path) -> None:
    simulation = Simulation(methods=12, models=1, images=4, points=0)
    store = write(simulation, tmp_path, processes=1)
    (setting,) = simulation.settings
    plan = Plan(simulation.specs, setting)
    cells = [cell for i in (*simulation.ids, "never") for cell in plan.cells(digest(i))]
    map_ok, score_ok = '"status":"ok","reason":"","seconds"', '"status":"ok","reason":"","better"'
    changes = [
        (map_ok, map_ok.replace("ok", "failed")),
        (map_ok, map_ok.replace("ok", "skipped")),
        ('null,"status":"skipped"', 'null,"status":"failed"'),
        ('"key":"', '"key":"0'),  # of no score that is asked for, and no key of the usual form
        ('"schema":2', '"schema":3'),
        (score_ok, score_ok.replace("ok", "skipped")),  # with a value, which no record has
    ]
    for cell, (old, new) in zip(cells[::3], changes, strict=False):
        path = store.cell_path(cell.key)
        body = "{" + path.read_text().partition(",")[2]
        assert old in body
        path.write_bytes(seal(body.replace(old, new, 1).encode()))
    store.cell_path(cells[1].key).unlink()
    told: list[Path] = []
    kept = Kept(Store(tmp_path, report=lambda path, reason: told.append(path)), plan)
    assert len(told) == 2
    lacking = [kept.missing(cell) for cell in cells]
    for cell, found in zip(cells, lacking, strict=True):
        record = store.read(cell.key)
        expected: list[str] | None = None
        if record is not None and record.status != "failed":
            done = {s.key for s in record.scores if s.status != "failed"}
            expected = [] if record.status == "skipped" else [key for key in cell.scores if key not in done]
        assert (None if found is None else list(found)) == expected
    # never computed, removed, failed, of another schema, not laid out as a record
    assert lacking.count(None) == 12 + 1 + 1 + 2 and lacking.count({}) == 48 - 4 - 2


@pytest.mark.alone
def test_time_grows_no_faster_than_the_cells(stores: dict[Simulation, Store]) -> None:
    best = {}
    for simulation, store in stores.items():
        runs = [measure(simulation, store.root, ["plan", "resume", "table"]) for _ in range(2)]
        best[simulation] = {name: min(run[name]["cpu"] for run in runs) for name in LIMITS}
        assert runs[0]["resume"]["found"] == {"kept": simulation.cells}
        assert runs[0]["table"]["found"] == [1, 40, simulation.images]
    for name, limit in LIMITS.items():
        small, large = best[SMALL][name], best[LARGE][name]
        # Half a second for what a leaderboard costs that does not depend on the number of cells.
        # Twice the limit, since other work on the machine slows this process down, too.
        assert large < 2 * limit * LARGE.cells / 1e6 + 0.5 * (name == "table"), (name, large)
        assert large < 2.5 * small + 0.02, (name, small, large)


def test_no_folder_has_many_entries(stores: dict[Simulation, Store]) -> None:
    for simulation, store in stores.items():
        assert most_entries(store.root) < max(300, 1.5 * simulation.cells / 256)


@pytest.mark.alone
def test_scores_csv_is_written_part_by_part(stores: dict[Simulation, Store]) -> None:
    store = stores[SMALL]
    start = time.process_time()
    path = store.root / "scores.csv"
    write_text(path, csv_parts(store.stream(), store.root, at_once=600))  # so that some wait in temporary files
    assert time.process_time() - start < 20
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        abouts = [(line["case"], line["model"], line["method"], line["params"]) for line in reader]
    scores = len(chosen_metrics([], SUITES["standard"]))
    assert len(abouts) == scores * SMALL.cells and abouts == sorted(abouts)
    path.unlink()


@pytest.mark.soak
def test_a_million_cells(tmp_path: Path) -> None:
    """Some minutes, 35 GB of disk; prints what it measured."""
    if shutil.disk_usage(tmp_path).free < 40e9:
        pytest.skip("this needs 40 GB of free disk")
    start = time.perf_counter()
    root = write(MILLION, tmp_path / "run").root
    print(f"\n{MILLION.cells} cells written in {time.perf_counter() - start:.0f} s")
    try:
        print(f"most entries in a folder: {most_entries(root)}")
        assert most_entries(root) < ENTRIES
        found = {}
        for names in (("plan", "resume"), ("table",), ("csv",), ("scores",)):
            found |= measured(MILLION, root, *names)
        for name, f in found.items():
            print(f"{name}: {f['wall']:.1f} s, processor {f['cpu']:.1f} s, peak {f['peak_gb']:.2f} GB; {f['found']}")
        assert found["resume"]["found"] == {"kept": MILLION.cells}
        assert found["table"]["found"] == [10, 100, 1000]
        for name, limit in LIMITS.items():
            assert found[name]["cpu"] < limit
        assert all(f["peak_gb"] < MEMORY for f in found.values())
    finally:
        shutil.rmtree(root)
