"""Whether a row made anew is the published one."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from xaibench.errors import UserError
from xaibench.record import Store
from xaibench.record.checksum import seal, unseal

TRUTH = Path(__file__).parents[2] / "results" / "phantom-truth"


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """A copy of a published table, to be changed."""
    return Path(shutil.copytree(TRUTH, tmp_path / "again"))


def change(folder: Path, map_digest: str | None = None, value: float | None = None) -> None:
    """Change the map or the first score of the first record of a method that has scores."""
    with gzip.open(folder / "records.jsonl.gz") as file:
        lines = file.read().splitlines()
    at, record = next((i, r) for i, r in enumerate(map(unseal, lines)) if r["scores"] and not r["control"])
    del record["checksum"]
    if map_digest is not None:
        record["map_digest"] = map_digest
    if value is not None:
        record["scores"][0]["value"] = value
    lines[at] = seal(record).rstrip("\n").encode()
    with gzip.open(folder / "records.jsonl.gz", "wb") as file:
        file.write(b"".join(line + b"\n" for line in lines))


def test_a_table_is_the_same_as_itself(beside: Callable[[str], ModuleType]) -> None:
    said, same = beside("same").compare(TRUTH, TRUTH)
    assert same and all("none differ" in line for line in said)


def test_a_map_that_differs_is_counted(beside: Callable[[str], ModuleType], again: Path) -> None:
    change(again, map_digest="0" * 64)
    said, same = beside("same").compare(again, TRUTH)
    assert not same and "1 differ in a bit" in said[0]


def test_a_score_that_differs_is_named_with_the_largest_difference(
    beside: Callable[[str], ModuleType], again: Path
) -> None:
    change(again, value=-1e6)
    said, _ = beside("same").compare(again, TRUTH)
    assert "1 differ in a digit, by at most 1e+00 of their value" in said[1]


def test_a_figure_that_differs_is_counted(beside: Callable[[str], ModuleType], again: Path) -> None:
    lines = (again / "leaderboard.csv").read_text().splitlines()
    (again / "leaderboard.csv").write_text("\n".join([lines[0], f"{lines[1]}1", *lines[2:]]))
    said, same = beside("same").compare(again, TRUTH)
    assert not same and "1 differ" in said[2]


def test_figures_of_fewer_images_are_not_compared(beside: Callable[[str], ModuleType], again: Path) -> None:
    first = min(r.case for r in Store.open(TRUTH).records())
    with gzip.open(again / "records.jsonl.gz") as file:
        lines = [line for line in file if unseal(line.strip())["case"] == first]
    with gzip.open(again / "records.jsonl.gz", "wb") as file:
        file.write(b"".join(lines))
    said, same = beside("same").compare(again, TRUTH)
    assert same and said[0] == f"{len(lines)} maps: none differ in a bit." and "not compared" in said[2]


def test_nothing_in_common_is_said(beside: Callable[[str], ModuleType]) -> None:
    with pytest.raises(UserError, match="in common"):
        beside("same").compare(TRUTH.parent / "chase", TRUTH)
