"""``xaibench publish``: numbers that may be passed on, read like the run that they are of."""

import json
import shutil
from pathlib import Path

import pytest

from cli.said import CELLS, Run


def test_the_published_run_gives_the_tables_of_the_run(xaibench: Run, finished: Path, tmp_path: Path) -> None:
    said = xaibench("publish", str(finished), "--out", "published")
    assert said.code == 0 and said.out.startswith(f"{CELLS} records and ") and " in published, " in said.out
    for options in ((), ("--wide",), ("--format", "json"), ("--metrics",)):
        run, published = (xaibench("leaderboard", str(where), *options) for where in (finished, "published"))
        assert (published.code, published.out) == (run.code, run.out)
    run, published = (xaibench("claims", str(where), "--format", "json") for where in (finished, "published"))
    assert published.out.replace("runs/published", str(finished)) == run.out  # where the command would add what lacks
    assert not [p for p in (tmp_path / "published").rglob("*") if p.suffix in (".npz", ".png", ".html")]


def test_a_newcomer_stands_beside_it(xaibench: Run, finished: Path, compute: Run) -> None:
    assert xaibench("publish", str(finished), "--out", "published").code == 0
    assert compute("--method", "saliency", "--out", "mine").code == 0
    said = xaibench("leaderboard", "published", "mine", "--format", "json")
    assert said.code == 0
    assert {"gradcam", "saliency"} <= {row["method"] for row in json.loads(said.out)}


@pytest.mark.parametrize(
    ("run", "out", "words"),
    [
        ("missing", "published", "missing"),
        ("empty", "published", "empty"),
        ("copy", "copy", "copy is the folder of a run"),
        ("copy", "other", "other is the folder of a run"),
        ("copy", "a-file", "a-file"),
        ("published", "again", "published is published already"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    run: str, out: str, words: str, xaibench: Run, finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    (tmp_path / "other" / "cells").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    assert xaibench("publish", str(finished), "--out", "published").code == 0
    (tmp_path / "a-file").write_text("mine")
    said = xaibench("publish", run, "--out", out)
    assert said.code == 2 and words in said.err and "Traceback" not in said.err
    assert (tmp_path / "a-file").read_text() == "mine"
    assert sorted(p.name for p in (tmp_path / "other").iterdir()) == ["cells"]
