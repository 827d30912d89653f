"""STARE and HRF, in files of their official layouts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaibench.data.case_loader import load_cases
from xaibench.data.datasets.hrf import hrf
from xaibench.data.datasets.stare import stare
from xaibench.data.folder_check import check_folder
from xaibench.errors import UserError

STARE = (*range(1, 6), 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324)


@pytest.mark.parametrize("compressed", [False, True])
def test_stare_holds_what_was_written(make: Any, tmp_path: Path, compressed: bool) -> None:
    root = make.stare(tmp_path, STARE, unlabelled=[6, 7], zipped=compressed)
    test, training, everything = (stare(split=s, root=str(root)) for s in ("test", "train", "all"))
    assert len(everything) == 20 and len(training) == len(test) == 10 and everything.note == ""
    assert training.ids[-1] == "im0139" and test.ids[0] == "im0162"
    assert "no split of its own" in test.note and "Only" not in test.note
    case, eye = training[5], make.eye(44)
    assert case.id == "im0044"
    np.testing.assert_array_equal(case.image.permute(1, 2, 0).numpy(), eye.image.astype(np.float32) / 255)
    np.testing.assert_array_equal(case.vessels, eye.vessels)
    np.testing.assert_array_equal(case.observer2, np.roll(eye.vessels, 1, 0))
    assert (case.fov.numpy() & eye.fov).sum() / (case.fov.numpy() | eye.fov).sum() > 0.9


def test_a_compressed_picture_that_is_damaged_or_a_bomb_is_told(make: Any, tmp_path: Path) -> None:
    root = make.stare(tmp_path, [1, 2], zipped=True)
    first, second = (root / "stare-images" / f"im000{n}.ppm.gz" for n in (1, 2))
    make.cut(first)
    second.write_bytes(gzip.compress(bytes(100 << 20)))
    with pytest.raises(UserError, match=r"im0001\.ppm\.gz in .* cannot be read"):
        stare(split="training", root=str(root))[0]
    with pytest.raises(UserError, match=r"im0002\.ppm\.gz .* as only a bomb does"):
        stare(split="training", root=str(root))[1]


def test_stare_may_lie_flat_in_an_archive_and_be_a_part(make: Any, tmp_path: Path) -> None:
    folder = make.stare(tmp_path / "s", [5, 319])
    for path in list(folder.glob("*/*")):
        path.rename(folder / path.name)
    archive = make.pack(folder, tmp_path / "STARE.zip")
    test = load_cases(archive, split="test")
    assert (test.dataset, test.ids) == ("stare", ("im0319",)) and "Only 2 of the 20" in test.note
    (folder / "im0005.ppm").unlink()
    with pytest.raises(UserError, match=r"im0005\.ah\.ppm has no image in"):
        stare(split="training", root=str(folder))


def test_hrf_holds_what_was_written(make: Any, tmp_path: Path) -> None:
    root = make.hrf(tmp_path, range(1, 16))
    test, training, everything = (hrf(split=s, root=str(root)) for s in ("test", "train", "all"))
    assert (len(everything), len(training), len(test)) == (45, 15, 30) and everything.note == test.note == ""
    assert training.ids[:3] == ("01_dr", "01_g", "01_h") and test.ids[0] == "06_dr"
    case, eye = training[0], make.eye(3 + 1)
    assert np.abs(case.image.permute(1, 2, 0).numpy() * 255 - eye.image).mean() < 12  # JPEG of noise
    np.testing.assert_array_equal(case.vessels, eye.vessels)
    np.testing.assert_array_equal(case.fov, eye.fov)
    assert case.observer2 is None


def test_hrf_in_part_and_in_an_archive(make: Any, tmp_path: Path) -> None:
    folder = make.hrf(tmp_path / "h", [6], kinds=["g"])
    cases = load_cases(make.pack(folder, tmp_path / "h.zip", "HRF"), split="test")
    assert (cases.dataset, cases.ids) == ("hrf", ("06_g",)) and "Only 1 of the 45" in cases.note
    with pytest.raises(UserError, match="no images for the split 'training'"):
        hrf(split="training", root=str(folder))
    (folder / "manual1" / "06_g.tif").unlink()
    with pytest.raises(UserError, match=r"06_g\.JPG has no label in"):
        hrf(root=str(folder))


@pytest.mark.parametrize("name", ["stare", "hrf"])
def test_what_cannot_be_used(name: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"XAIBENCH_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"data/{name.upper()}") as error:
        load_cases(name)
    assert f"XAIBENCH_{name.upper()}" in error.value.hint
    monkeypatch.setenv(f"XAIBENCH_{name.upper()}", str(make.drive(tmp_path / "D", test=(1,))))
    with pytest.raises(UserError, match=f"{name.upper()} is not in"):
        load_cases(name)
    with pytest.raises(UserError, match="no split 'validation'"):
        load_cases(name, split="validation")


@pytest.mark.parametrize(("name", "title"), [("stare", "STARE"), ("hrf", "HRF")])
def test_the_check_names_the_layout(name: str, title: str, make: Any, tmp_path: Path) -> None:
    report = check_folder(getattr(make, name)(tmp_path, [1, 2]))
    assert f"layout: {title}" in report.facts and report.problems == []
