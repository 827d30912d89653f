"""Whether a recomputed row equals the published one."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from xaibench.errors import UserError
from xaibench.record import Store
from xaibench.record.checksum import seal

TRUTH = Path(__file__).parents[2] / "results" / "phantom-truth"
SCRIPT = "same"


@pytest.fixture
def again(tmp_path: Path) -> Path:
    """A copy of a published table, to be changed."""
    return Path(shutil.copytree(TRUTH, tmp_path / "again"))


def edit(folder: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Change the records of a table and write them with new checksums."""
    with gzip.open(folder / "records.jsonl.gz") as file:
        records = change([json.loads(line) for line in file])
    with gzip.open(folder / "records.jsonl.gz", "wb") as file:
        bodies = ({k: v for k, v in r.items() if k != "checksum"} for r in records)
        file.writelines(seal(msgspec.json.encode(body)) + b"\n" for body in bodies)


@pytest.mark.parametrize(
    ("map_digest", "value", "sentence"),
    [
        (None, None, "maps: none differ in a bit."),
        ("0" * 64, None, "maps: 1 differ in a bit."),
        (None, None, "scores: none differ in a digit."),
        (None, -1e6, "scores: 1 differ in a digit, by at most 1e+00 of their value ("),
    ],
)
def test_maps_and_scores_that_differ_are_counted(
    script: ModuleType, again: Path, map_digest: str | None, value: float | None, sentence: str
) -> None:
    def change(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        record = next(r for r in records if r["scores"] and not r["control"])
        record["map_digest"] = map_digest or record["map_digest"]
        record["scores"][0]["value"] = value or record["scores"][0]["value"]
        return records

    edit(again, change)
    lines, same = script.compare(again, TRUTH)
    assert any(sentence in line for line in lines) and same == (map_digest is None)


@pytest.mark.parametrize(("addition", "count"), [("", "none"), ("1", "1")])
def test_figures_that_differ_are_counted(script: ModuleType, again: Path, addition: str, count: str) -> None:
    head, first, *others = (again / "leaderboard.csv").read_text().splitlines()
    (again / "leaderboard.csv").write_text("\n".join([head, first + addition, *others]))
    lines, same = script.compare(again, TRUTH)
    assert f"figures of leaderboard.csv: {count} differ." in lines[2] and same == (not addition)


def test_figures_of_fewer_images_are_not_compared(script: ModuleType, again: Path) -> None:
    first = min(r.case for r in Store.open(TRUTH).records())
    edit(again, lambda records: [record for record in records if record["case"] == first])
    count = len(list(Store.open(again).records()))
    lines, same = script.compare(again, TRUTH)
    assert same and lines[0] == f"{count} maps: none differ in a bit." and "not compared" in lines[2]


def test_two_runs_without_a_common_cell_are_refused(script: ModuleType) -> None:
    with pytest.raises(UserError, match="in common"):
        script.compare(TRUTH.parent / "chase", TRUTH)
