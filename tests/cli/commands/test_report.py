"""The command: where the page goes, what is said, and what can go wrong."""

import json
import shutil
from pathlib import Path

import pytest

from cli.said import Run


@pytest.fixture
def run_folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_the_page_lies_in_the_runs_folder_or_where_it_is_asked_for(xaibench: Run, run_folder: Path) -> None:
    said = xaibench("report", str(run_folder), "--no-films")
    assert said.code == 0 and not said.err
    page = run_folder / "report.html"
    assert said.out.startswith(f"{page} (") and said.out.rstrip().endswith("MB)")
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>") and "gradcam" in text and "they were not asked for (--no-films)" in text
    assert xaibench("report", str(run_folder), "--no-films", "--out", "deep/er/page.html").code == 0
    assert Path("deep/er/page.html").is_file()


def test_films_are_made_once_from_the_data_and_network_that_the_run_names(xaibench: Run, run_folder: Path) -> None:
    said = xaibench("report", str(run_folder))
    assert said.code == 0 and "Looking up data and network" in said.err
    films = {p: p.stat().st_mtime_ns for p in run_folder.glob("films/*/*.npz")}
    assert len(films) == 4  # gradcam and the prediction on two images
    assert 'class="film"' in (run_folder / "report.html").read_text("utf-8")
    said = xaibench("report", str(run_folder))
    assert said.code == 0 and not said.err
    assert {p: p.stat().st_mtime_ns for p in run_folder.glob("films/*/*.npz")} == films


def test_the_report_is_written_also_where_the_data_is_gone(xaibench: Run, run_folder: Path) -> None:
    asked = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps(asked | {"data": "./gone"}))
    said = xaibench("report", str(run_folder))
    assert said.code == 0 and "Without some step-by-step pictures: " in said.err and "gone" in said.err
    assert "No step-by-step pictures: " in (run_folder / "report.html").read_text("utf-8")


def test_a_folder_that_is_no_run(xaibench: Run, run_folder: Path, tmp_path: Path) -> None:
    said = xaibench("report", str(tmp_path / "rum"))
    assert said.code == 2 and "There is no folder" in said.err and f"Did you mean {run_folder}?" in said.err
    said = xaibench("report", str(tmp_path))
    assert said.code == 2 and "is not the folder of a run" in said.err and f"Did you mean {run_folder}?" in said.err
    said = xaibench("report", str(tmp_path / "elsewhere" / "run"))
    assert said.code == 2 and "`xaibench run --out" in said.err


def test_a_page_that_cannot_be_written(xaibench: Run, run_folder: Path) -> None:
    for folder in (str(run_folder), "gone/.."):
        said = xaibench("report", str(run_folder), "--no-films", "--out", folder)
        assert said.code == 2 and f"{folder} is a folder" in said.err and not Path("gone").exists()
    Path("notes.txt").write_text("mine")
    said = xaibench("report", str(run_folder), "--no-films", "--out", "notes.txt")
    assert said.code == 2 and "notes.txt exists already" in said.err and Path("notes.txt").read_text() == "mine"
    assert xaibench("report", str(run_folder), "--no-films", "--out", "notes.txt", "--force").code == 0
    assert xaibench("report", str(run_folder), "--no-films", "--out", "notes.txt").code == 0  # a report by now
