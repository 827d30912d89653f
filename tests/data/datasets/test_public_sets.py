"""DRIVE, CHASE_DB1, STARE and HRF in files of their official layouts, whole and in part."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layouts import Make

from data.measures import overlap
from xaibench.data.case_loader import load_cases
from xaibench.data.datasets.local_copy import find_copy
from xaibench.data.folder_check import check_folder
from xaibench.errors import UserError
from xaibench.registry import dataset_traits

STARE = (*range(1, 6), 44, 77, 81, 82, 139, 162, 163, 235, 236, 239, 240, 255, 291, 319, 324)
TRAINING, TEST = range(21, 41), range(1, 21)
SETS = {"drive": "DRIVE", "chase": "CHASE_DB1", "stare": "STARE", "hrf": "HRF"}
Maker = Callable[[Make, Path], Path]


def flat_stare(make: Make, root: Path) -> Path:
    folder = make.stare(root / "s", [5, 319])
    for path in list(folder.glob("*/*")):
        path.rename(folder / path.name)
    return make.pack(folder, root / "STARE.zip")


COPIES: dict[str, Maker] = {
    "drive": lambda make, root: make.drive(root, training=TRAINING, test=TEST),
    "drive without test labels": lambda make, root: make.drive(root, training=TRAINING, test=TEST, labels=False),
    "drive in part": lambda make, root: make.drive(root, training=TRAINING, test=range(1, 8)),
    "chase": lambda make, root: make.chase(root, range(1, 15)),
    "chase in part": lambda make, root: make.chase(root, range(1, 11)),
    "chase zipped": lambda make, root: make.pack(make.chase(root / "c", range(1, 15)), root / "c.zip", "CHASE_DB1"),
    "stare": lambda make, root: make.stare(root, STARE, unlabelled=[6, 7]),
    "stare compressed": lambda make, root: make.stare(root, STARE, zipped=True),
    "stare in part": lambda make, root: make.stare(root, [5, 319]),
    "stare flat": flat_stare,
    "hrf": lambda make, root: make.hrf(root, range(1, 16)),
    "hrf in part": lambda make, root: make.hrf(root, [6]),
    "hrf zipped": lambda make, root: make.pack(make.hrf(root / "h", [6], kinds=["g"]), root / "h.zip", "HRF"),
}


@pytest.mark.parametrize(
    ("copy", "split", "count", "first", "last", "note"),
    [
        ("drive", "test", 20, "01", "20", ""),
        ("drive", "training", 20, "21", "40", ""),
        ("drive", "train", 20, "21", "40", ""),
        ("drive", "validation", 5, "31", "35", "also belong to the training split"),
        # A part of training stands in for the test part, and is kept from training.
        ("drive without test labels", "test", 5, "36", "40", "no test labels: training images 36–40 stand in"),
        ("drive without test labels", "training", 15, "21", "35", "no test labels"),
        ("drive without test labels", "validation", 5, "31", "35", "also belong to the training split"),
        ("drive in part", "test", 7, "01", "07", "Only 7 of the 20"),
        ("chase", "test", 8, "11L", "14R", ""),
        ("chase", "train", 20, "01L", "10R", ""),
        ("chase", "all", 28, "01L", "14R", ""),
        ("chase in part", "test", 10, "06L", "10R", "20 of the 28"),
        ("chase in part", "training", 10, "01L", "05R", "20 of the 28"),
        ("chase in part", "all", 20, "01L", "10R", ""),
        ("stare", "test", 10, "im0162", "im0324", "first ten images train, the last ten test."),
        ("stare", "train", 10, "im0001", "im0139", "first ten images train, the last ten test."),
        ("stare", "all", 20, "im0001", "im0324", ""),
        ("stare flat", "test", 1, "im0319", "im0319", "the last ten test. Only 2 of the 20"),
        ("hrf", "test", 30, "06_dr", "15_h", ""),
        ("hrf", "train", 15, "01_dr", "05_h", ""),
        ("hrf", "all", 45, "01_dr", "15_h", ""),
        ("hrf zipped", "test", 1, "06_g", "06_g", "Only 1 of the 45"),
    ],
)
def test_splits_and_their_notes(
    make: Make, tmp_path: Path, copy: str, split: str, count: int, first: str, last: str, note: str
) -> None:
    cases = load_cases(COPIES[copy](make, tmp_path), split=split)
    assert (len(cases), cases.ids[0], cases.ids[-1], cases[0].id) == (count, first, last, first)
    assert (cases.dataset, cases.split) == (copy.split()[0], "training" if split == "train" else split)
    assert note in cases.note and bool(note) == bool(cases.note)
    assert "Only" in note or "Only" not in cases.note


@pytest.mark.parametrize(
    ("copy", "split", "id", "number"),
    [
        ("drive", "test", "07", 7),
        ("drive without test labels", "test", "36", 36),
        ("chase", "training", "07R", 15),
        ("chase zipped", "training", "07R", 15),
        ("stare", "training", "im0044", 44),
        ("stare compressed", "training", "im0044", 44),
        ("hrf", "training", "01_dr", 3 + 1),
    ],
)
def test_a_case_holds_what_was_written_and_the_check_agrees(
    make: Make, tmp_path: Path, copy: str, split: str, id: str, number: int
) -> None:
    root, eye = COPIES[copy](make, tmp_path), make.eye(number)
    cases = load_cases(root, split=split)
    case = cases[cases.ids.index(id)]
    difference = np.abs(case.image.permute(1, 2, 0).numpy() * 255 - eye.image).mean()
    assert difference < (12 if copy.startswith(("chase", "hrf")) else 1e-4)  # JPEG of noise
    np.testing.assert_array_equal(case.vessels, eye.vessels & eye.fov)
    assert overlap(case.fov.numpy(), eye.fov) > 0.9
    if copy.startswith(("drive", "hrf")):
        np.testing.assert_array_equal(case.fov, eye.fov)
    if copy in ("hrf", "drive without test labels"):
        assert case.observer2 is None
    else:
        np.testing.assert_array_equal(case.observer2, np.roll(eye.vessels, 1, 0) & eye.fov)
    report = check_folder(root)
    assert f"layout: {SETS[copy.split()[0]]}" in report.facts and report.problems == []


@pytest.mark.parametrize(
    ("copy", "missing", "told"),
    [
        ("drive", "test/1st_manual/02_manual1.gif", r"test/images/02_test\.tif has no label in"),
        ("drive", "test/mask/02_test_mask.gif", r"test/images/02_test\.tif in .* has no field-of-view mask"),
        ("drive", "test/images/02_test.tif", r"test/1st_manual/02_manual1\.gif has no image in"),
        ("chase", "Image_11R_1stHO.png", r"Image_11R\.jpg has no label in"),
        ("stare", "stare-images/im0319.ppm", r"im0319\.ah\.ppm has no image in"),
        ("hrf", "manual1/06_g.tif", r"06_g\.JPG has no label in"),
    ],
)
def test_a_missing_file_is_told_before_any_case_is_read(
    make: Make, tmp_path: Path, copy: str, missing: str, told: str
) -> None:
    (COPIES[copy](make, tmp_path) / missing).unlink()
    with pytest.raises(UserError, match=told):
        load_cases(tmp_path)


def test_the_second_observer_may_be_missing(make: Make, tmp_path: Path) -> None:
    (make.chase(tmp_path, [11]) / "Image_11L_2ndHO.png").unlink()
    assert load_cases(tmp_path, split="all")[0].observer2 is None


@pytest.mark.parametrize(
    ("name", "example", "source"),
    [
        ("drive", "training/images/21_training", "drive.grand-challenge.org"),
        ("chase", r"Image_01L\.jpg", "Kingston University"),
        ("stare", r"im0001\.ppm", "clemson"),
        ("hrf", r"images/01_dr\.JPG", "fau.de"),
    ],
)
def test_where_it_is_looked_for_and_what_cannot_be_used(
    name: str, example: str, source: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"XAIBENCH_{name.upper()}"
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        load_cases(name)
    assert str(tmp_path / "data" / SETS[name]) in caught.value.message
    assert source in caught.value.hint and variable in caught.value.hint
    monkeypatch.setenv(variable, str(make.folder(tmp_path / "other", ["a"])))
    with pytest.raises(UserError, match=f"{SETS[name]} is not in .* no {example}"):
        load_cases(name)
    with pytest.raises(UserError, match=r"no split 'tes'\. Did you mean test"):
        load_cases(name, split="tes")
    monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    assert find_copy(dataset_traits(name)) is None
    copy, part = COPIES[name](make, tmp_path / "copy"), COPIES[f"{name} in part"](make, tmp_path / "data" / SETS[name])
    monkeypatch.setenv(variable, str(copy))
    assert find_copy(dataset_traits(name)) == copy and load_cases(name).ids == load_cases(copy).ids
    assert load_cases(f"{name}[root={part}]").ids == load_cases(part).ids != load_cases(copy).ids
    monkeypatch.delenv(variable)
    assert find_copy(dataset_traits(name)) == part and load_cases(name).ids == load_cases(part).ids


def test_a_split_without_images_is_told(make: Make, tmp_path: Path) -> None:
    for root, split in ((make.chase(tmp_path / "c", [1]), "test"), (make.hrf(tmp_path / "h", [6]), "training")):
        with pytest.raises(UserError, match=f"no images for the split '{split}'"):
            load_cases(root, split=split)


def test_a_damaged_or_bursting_image_is_told(make: Make, tmp_path: Path) -> None:
    images = make.stare(tmp_path, [1, 2], zipped=True) / "stare-images"
    make.cut(images / "im0001.ppm.gz")
    (images / "im0002.ppm.gz").write_bytes(gzip.compress(bytes(100 << 20)))
    cases = load_cases(tmp_path, split="all")
    for index, told in enumerate((r"im0001\.ppm\.gz in .* cannot be read", r"im0002\.ppm\.gz .* as only a bomb does")):
        with pytest.raises(UserError, match=told):
            cases[index]


def test_the_real_chase(real_chase: Path) -> None:
    cases = load_cases(real_chase, split="all")
    assert len(cases) >= 20
    case = cases[0]
    assert case.image.shape == (3, 960, 999) and case.observer2 is not None
    rows, columns = (np.flatnonzero(case.fov.numpy().any(axis)) for axis in (1, 0))
    assert abs((rows[-1] - rows[0]) - (columns[-1] - columns[0])) < 5  # round, as this camera's field of view is
    assert case.scale == pytest.approx(921 / 540, abs=0.01)


def test_the_real_drive(real_drive: Path) -> None:
    for split, id in (("test", "01"), ("training", "21")):
        cases = load_cases(real_drive, split=split)
        assert len(cases) == 20 and cases.ids[0] == id and cases[0].image.shape == (3, 584, 565)
