"""DRIVE in all the shapes in which it is downloaded, and damaged."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from xaibench.data.datasets.drive import drive
from xaibench.errors import UserError


def _nested(make: Any, plain: Path, place: Path) -> Path:
    for part in ("training", "test"):
        make.pack(plain / part, place / "in" / f"{part}.zip", part)
    return make.pack(place / "in", place / "datasets.zip")


SHAPES = {
    "folder": lambda make, plain, place: plain,
    "parent folder": lambda make, plain, place: plain.parent,
    "zip": lambda make, plain, place: make.pack(plain, place / "archive.zip"),
    "zip with top folder": lambda make, plain, place: make.pack(plain, place / "DRIVE.zip", "DRIVE"),
    "folder with zip": lambda make, plain, place: make.pack(plain, place / "DRIVE.zip", "DRIVE").parent,
    "folder with a zip of each part": lambda make, plain, place: _nested(make, plain, place).parent / "in",
    "zip of zips": _nested,
    "folder with zip of zips": lambda make, plain, place: (
        _nested(make, plain, place / "a").rename(place / "a.zip").parent
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_cases(make: Any, tmp_path: Path, shape: str) -> None:
    plain = make.drive(tmp_path / "original" / "DRIVE", training=(21, 22), test=(1, 2))
    wanted = [drive(split=s, root=str(plain))[1].digest for s in ("training", "test")]
    root = SHAPES[shape](make, plain, tmp_path / "packed")
    assert [drive(split=s, root=str(root))[1].digest for s in ("training", "test")] == wanted


def test_cases_travel_to_other_processes(make: Any, tmp_path: Path) -> None:
    cases = drive(root=str(make.pack(make.drive(tmp_path / "D", test=(1, 2)), tmp_path / "d.zip")))
    assert pickle.loads(pickle.dumps(cases))[1].digest == cases[1].digest
    assert len(repr(cases)) < 2000


@pytest.mark.parametrize("file", ["images/02_test.tif", "1st_manual/02_manual1.gif", "mask/02_test_mask.gif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.7])
@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_files_are_named(make: Any, tmp_path: Path, file: str, share: float, zipped: bool) -> None:
    make.drive(tmp_path / "D", test=(1, 2))
    make.cut(tmp_path / "D" / "test" / file, share)
    root = make.pack(tmp_path / "D", tmp_path / "d.zip") if zipped else tmp_path / "D"
    cases = drive(root=str(root))
    assert cases[0].id == "01"
    with pytest.raises(UserError, match=file):
        cases[1]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("inside", [False, True])
def test_truncated_archives_are_named(make: Any, tmp_path: Path, share: float, inside: bool) -> None:
    archive = make.pack(make.drive(tmp_path / "D", test=(1, 2)), tmp_path / "z" / "test.zip")
    make.cut(archive, share)
    root = make.pack(tmp_path / "z", tmp_path / "datasets.zip") if inside else archive
    with pytest.raises(UserError, match=rf"{root.name} is not a readable zip archive"):
        drive(root=str(root))


def test_a_flipped_bit_in_an_archive_is_noticed(make: Any, tmp_path: Path) -> None:
    archive = make.pack(make.drive(tmp_path / "D", test=(1,)), tmp_path / "test.zip")
    content = bytearray(archive.read_bytes())
    content[content.find(b"01_test.tif") + 2000] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"01_test\.tif"):
        drive(root=str(archive))[0]
