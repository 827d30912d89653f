"""The arithmetic of docs/scale.md, against the figures it cites."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from xaibench.running.plan import SUITES, chosen_methods

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("|") and (cells := [c.strip() for c in line.strip("|").split("|")])
}
CELLS = 1_000_000


def figure(row: str, column: int = 0) -> float:
    return float(ROWS[row][column].split()[0])


def test_what_the_published_table_took() -> None:
    text = gzip.decompress((ROOT / "results/drive/scores.csv.gz").read_bytes()).decode()
    seconds = {
        (line["case"], line["method"], line["params"]): float(line["seconds"])
        for line in csv.DictReader(io.StringIO(text))
        if line["target"] == "vessels"
    }
    assert figure("cells of the published table, target vessels") == len(seconds)
    assert figure("seconds of a map, mean over these cells") == round(sum(seconds.values()) / len(seconds), 2)
    hours = figure("hours that they took")
    assert f"about {hours} hours" in (ROOT / "results/README.md").read_text("utf-8")
    assert figure("seconds of a cell") == round(hours * 3600 / len(seconds), 1)
    share = sum(seconds.values()) / (2 * hours * 3600)  # of two cores
    assert "About a quarter of a core's time" in PAGE and share == pytest.approx(0.25, abs=0.03)
    lime = [s for (_, method, _), s in seconds.items() if method == "lime"]
    assert "takes 56 s of one core" in PAGE and sum(lime) / len(lime) == pytest.approx(56, abs=0.5)


def test_what_the_standard_suite_takes() -> None:
    cells = len(chosen_methods([], SUITES["standard"])) * 20
    assert figure("cells of the standard suite") == cells
    speed = " ".join((ROOT / "docs" / "speed.md").read_text("utf-8").split())
    assert "the standard suite about three hours for all twenty" in speed
    assert figure("hours that they take") == round(3 * cells / 560, 1)
    assert figure("seconds of a cell, standard suite") == round(figure("hours that they take") * 3600 / cells, 1)


@pytest.mark.parametrize("machines", [1, 16, 256])
def test_hours_and_days_of_a_million_cells(machines: int) -> None:
    hours = figure("hours that they take") / figure("cells of the standard suite") * CELLS / machines
    assert figure(str(machines)) == round(hours, 0 if machines == 1 else 1)
    assert figure(str(machines), 1) == round(hours / 24, 1)


@pytest.mark.parametrize("what", ["records, `cells/`", "maps of DRIVE's size, `maps/`", "`scores.csv`"])
def test_disk_of_a_million_cells(what: str) -> None:
    assert figure(what, 1) == pytest.approx(figure(what) * CELLS / 1e6)


def test_shares_and_rates() -> None:
    steps = ("plan: ", "resume: ", "`xaibench leaderboard`", "all columns", "`scores.csv`, 54 million lines")
    rows = [row for row in ROWS if row.startswith(steps)]
    assert len(rows) == len(steps)
    serial = sum(figure(row) for row in rows)
    hours = figure("256")
    assert "it is 1.6 % of" in PAGE and round(100 * serial / (hours * 3600), 1) == 1.6
    assert "with 10 000 about two fifths" in PAGE
    assert serial / (serial + hours * 3600 * 256 / 10_000) == pytest.approx(2 / 5, abs=0.02)
    assert "13 cells per second" in PAGE and round(CELLS / (hours * 3600)) == 13
    assert "some 3 900" in PAGE and 3900 < CELLS / 256 < 3910
    assert CELLS == 100 * 10 * 1000 and "100 methods × 10 models × 1 000 images" in PAGE
