"""A photograph without labels: found, read, and given a field of view."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import Make
from PIL import Image
from torch import nn

import xaibench as xb
from data.measures import overlap
from xaibench.data.io.image import load_image
from xaibench.errors import UserError


def test_it_is_the_picture_with_its_field_of_view(make: Make, tmp_path: Path) -> None:
    eye = make.eye(3)
    make.save(tmp_path / "photo.png", eye.image)
    case = load_image(tmp_path / "photo.png")
    np.testing.assert_array_equal((case.image * 255).round().byte().permute(1, 2, 0), eye.image)
    assert overlap(case.fov.numpy(), eye.fov) > 0.97
    assert case.scale == pytest.approx(53 / 540, abs=2 / 540)
    assert case.id == "photo.png" and not case.labelled and not case.vessels.any() and case.observer2 is None


@pytest.mark.parametrize(("side", "scale"), [(30, 1.0), (540, 1.0), (1080, 2.0)])
def test_without_a_dark_surround_all_of_it_is_seen(tmp_path: Path, side: int, scale: float) -> None:
    pixels = np.random.default_rng(0).integers(90, 200, (20, side, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "crop.png")
    case = load_image(tmp_path / "crop.png")
    assert case.fov.all() and case.scale == pytest.approx(scale)


@settings(max_examples=60, deadline=None)
@given(
    height=st.sampled_from([1, 2, 5, 17, 61]),
    width=st.sampled_from([1, 3, 4, 13, 67]),
    kind=st.sampled_from(["noise", "black", "white", "red", "dim", "line", "corner"]),
    seed=st.integers(0, 5),
)
def test_any_picture_has_a_field_of_view(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, kind: str, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    if kind != "noise":
        pixels[:] = {"white": 255, "dim": 3, "red": (200, 30, 0)}.get(kind, 0)
    if kind == "line":
        pixels[height // 2] = 200
    if kind == "corner":
        pixels[: height // 2 + 1, : width // 2 + 1] = 200
    path = tmp_path_factory.mktemp("any") / "picture.png"
    Image.fromarray(pixels).save(path)
    if (pixels == pixels[0, 0]).all():
        with pytest.raises(UserError, match=r"picture\.png shows nothing"):
            load_image(path)
        return
    case = load_image(path)
    assert case.fov.any() and case.image.shape == (3, height, width) and case.scale > 0
    assert torch.isfinite(case.image).all()


def test_the_ending_does_not_matter(make: Make, tmp_path: Path) -> None:
    make.save(tmp_path / "photo.png", make.eye(0).image)
    for name in ("photo.jpg", "photo.TIF", "photo", "photo.txt"):
        (tmp_path / name).write_bytes((tmp_path / "photo.png").read_bytes())
        assert torch.equal(load_image(tmp_path / name).image, load_image(tmp_path / "photo.png").image)


def test_what_cannot_be_read_is_said(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make.save(tmp_path / "eye_left.png", make.eye(0).image)
    make.save(tmp_path / "cut.png", make.eye(0).image)
    make.cut(tmp_path / "cut.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("no picture at all")
    (tmp_path / "bare").mkdir()
    for name, words in {
        "eye_lft.png": r"There is no file .*eye_lft\.png\. Did you mean .*eye_left\.png\?",
        "eye_left.jpeg": r"Did you mean .*eye_left\.png\?",
        "x/y.png": r"There is no file .*There is no folder .*x either",
        "quite-other": r"There is no file .*Check the path",
        "": r"is a folder, not an image\. Give one .*cut\.png",
        "bare": r"is a folder, not an image\. Give the name",
        "cut.png": r"cut\.png in .* cannot be read: .*truncated",
        "empty.jpg": r"cannot be read: the file is empty",
        "notes.txt": r"cannot be read: it is no image",
    }.items():
        with pytest.raises(UserError, match=words) as said:
            load_image(tmp_path / name)
        assert "\n" not in str(said.value)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"more than the .* million pixels that are read"):
        load_image(tmp_path / "eye_left.png")


def test_labels_that_are_not_there_are_asked_for_in_vain(eye: xb.Case, network: nn.Module, tmp_path: Path) -> None:
    case = xb.make_case("mine", eye.image.numpy())
    assert not case.labelled and eye.labelled and case.fov.any()
    for name in ("false-positives", "false-negatives"):
        with pytest.raises(UserError, match=rf"The target '{name}' compares with labels, and mine has none"):
            xb.target(name, network, case)
    target = xb.Target("middle", case.fov, case.fov, case.fov.float())
    for name in ("vessels-oracle", "second-observer"):
        with pytest.raises(UserError, match=rf"{name} reads the labels, and mine has none"):
            xb.explain(xb.Scorer(network, target), case.image, method=name, case=case)
