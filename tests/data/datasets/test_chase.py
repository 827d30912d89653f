"""CHASE_DB1, whole and in part, and the field of view that it comes without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaibench.data.datasets.chase import chase
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.errors import UserError


def test_the_full_set_is_split_as_is_customary(make: Any, tmp_path: Path) -> None:
    root = str(make.chase(tmp_path, range(1, 15)))
    test, training, everything = (chase(split=s, root=root) for s in ("test", "train", "all"))
    assert test.ids == ("11L", "11R", "12L", "12R", "13L", "13R", "14L", "14R") and test.note == ""
    assert len(training) == 20 and training.ids[-1] == "10R"
    assert sorted(test.ids + training.ids) == list(everything.ids)


def test_the_smaller_copy_is_split_by_children_and_says_so(make: Any, tmp_path: Path) -> None:
    root = str(make.chase(tmp_path, range(1, 11)))
    test, training = chase(root=root), chase(split="training", root=root)
    assert test.ids == ("06L", "06R", "07L", "07R", "08L", "08R", "09L", "09R", "10L", "10R")
    assert training.ids == tuple(f"0{n}{side}" for n in range(1, 6) for side in "LR")
    assert "20 of the 28" in test.note and "20 of the 28" in training.note
    assert chase(split="all", root=root).note == ""


@pytest.mark.parametrize("zipped", [False, True])
def test_a_case_holds_what_was_written(make: Any, tmp_path: Path, zipped: bool) -> None:
    folder = make.chase(tmp_path / "c", [7])
    case = chase(root=str(make.pack(folder, tmp_path / "c.zip", "CHASE_DB1") if zipped else folder))[1]
    eye = make.eye(15)
    assert case.id == "07R" and case.image.shape == (3, 60, 72)
    np.testing.assert_array_equal(case.vessels, eye.vessels)
    np.testing.assert_array_equal(case.observer2, np.roll(eye.vessels, 1, 0))
    assert np.abs(case.image.permute(1, 2, 0).numpy() * 255 - eye.image).mean() < 12  # JPEG of noise
    assert (case.fov.numpy() & eye.fov).sum() / (case.fov.numpy() | eye.fov).sum() > 0.9


def test_the_second_observer_may_be_missing_and_the_first_may_not(make: Any, tmp_path: Path) -> None:
    make.chase(tmp_path, [8])
    (tmp_path / "Image_08L_2ndHO.png").unlink()
    assert chase(root=str(tmp_path))[0].observer2 is None
    (tmp_path / "Image_08R_1stHO.png").unlink()
    with pytest.raises(UserError, match=r"Image_08R\.jpg has no label in"):
        chase(root=str(tmp_path))


def test_what_cannot_be_used(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XAIBENCH_CHASE", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="data/CHASE_DB1"):
        chase()
    make.drive(tmp_path / "D", test=(1,))
    with pytest.raises(UserError, match=r"no Image_01L\.jpg"):
        chase(root=str(tmp_path / "D"))
    root = str(make.chase(tmp_path / "c", [1]))
    with pytest.raises(UserError, match="no images for the split 'test'"):
        chase(root=root)
    with pytest.raises(UserError, match="no split 'validation'"):
        chase(split="validation", root=root)
    make.cut(tmp_path / "c" / "Image_01L.jpg")
    with pytest.raises(UserError, match=r"Image_01L\.jpg"):
        chase(split="all", root=root)[0]


def test_the_environment_leads_to_it(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIBENCH_CHASE", str(make.chase(tmp_path, [9])))
    assert chase().ids == ("09L", "09R")


@settings(max_examples=25, deadline=None)
@given(
    radius=st.integers(60, 110),
    dx=st.integers(-30, 30),
    level=st.integers(40, 230),
    surround=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_a_disc_is_found_wherever_it_is_cut_and_however_dim(
    radius: int, dx: int, level: int, surround: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:180, :240]
    fov = (y - 90) ** 2 + (x - 120 - dx) ** 2 < radius**2
    red = np.where(fov, level * (1 - 0.5 * np.hypot(y - 90, x - 120) / 150), surround) + rng.normal(0, 1.5, fov.shape)
    red[5:8, 5:8] = 250  # a printed label
    image = np.clip(np.stack([red, red * 0.5, red * 0.2], axis=2), 0, 255).astype(np.uint8)
    estimate = estimate_fov(image)
    assert (estimate & fov).sum() / (estimate | fov).sum() > 0.97


@pytest.mark.parametrize("level", [0, 1, 130, 255])
def test_a_picture_without_a_dark_surround_is_all_field_of_view(level: int) -> None:
    assert estimate_fov(np.full((40, 50, 3), level, np.uint8)).all()
    noise = np.random.default_rng(0).integers(level // 2, level + 1, (40, 50, 3)).astype(np.uint8)
    assert level < 2 or estimate_fov(noise).all()


def test_the_real_chase(real_chase: Path) -> None:
    cases = chase(split="all", root=str(real_chase))
    assert len(cases) >= 20
    case = cases[0]
    assert case.image.shape == (3, 960, 999) and case.observer2 is not None
    rows, columns = (np.flatnonzero(case.fov.numpy().any(axis)) for axis in (1, 0))
    assert abs((rows[-1] - rows[0]) - (columns[-1] - columns[0])) < 5  # round, as this camera's field of view is
    assert case.scale == pytest.approx(921 / 540, abs=0.01)
