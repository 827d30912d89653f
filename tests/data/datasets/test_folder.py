"""Plain folders in the usual arrangements, and what a user may name to load them."""

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from bad_input.archives import declaring
from hypothesis import given
from hypothesis import strategies as st
from layouts import Make
from PIL import Image

from data.measures import overlap
from xaibench.data.case_loader import load_cases
from xaibench.data.datasets.folder import list_folder
from xaibench.data.io.source import Source
from xaibench.errors import UserError


@pytest.mark.parametrize("labels", ["masks", "labels", "1st_manual", "manual1", "manual"])
@pytest.mark.parametrize("fov", ["fov", "mask"])
@pytest.mark.parametrize("zipped", [False, True])
def test_images_and_labels_in_folders(make: Make, tmp_path: Path, labels: str, fov: str, zipped: bool) -> None:
    root = make.folder(tmp_path / "eyes", ["a", "b"], labels, fov)
    cases = load_cases(make.pack(root, tmp_path / "eyes.zip", "eyes") if zipped else root)
    assert (cases.dataset, cases.ids) == ("eyes", ("a", "b")) and "no splits" in cases.note
    case, eye = cases[1], make.eye(1)
    np.testing.assert_array_equal((case.image * 255).round().byte().permute(1, 2, 0), eye.image)
    np.testing.assert_array_equal(case.vessels, eye.vessels & eye.fov)
    np.testing.assert_array_equal(case.fov, eye.fov)


def test_without_field_of_view_masks_it_is_estimated(make: Make, tmp_path: Path) -> None:
    assert overlap(load_cases(make.folder(tmp_path, ["a"], fov=""))[0].fov.numpy(), make.eye(0).fov) > 0.9


@pytest.mark.parametrize("suffix", ["_mask", "_1stHO", "_vessels"])
def test_images_and_labels_side_by_side(make: Make, tmp_path: Path, suffix: str) -> None:
    for n, name in enumerate(("x", "y")):
        make.save(tmp_path / f"{name}.png", make.eye(n).image)
        make.save(tmp_path / f"{name}{suffix}.gif", make.eye(n).vessels)
    make.save(tmp_path / "x_fov.png", make.eye(0).fov)
    make.save(tmp_path / "y_2ndHO.png", make.eye(3).vessels)
    x, y = load_cases(tmp_path)
    np.testing.assert_array_equal(x.fov, make.eye(0).fov)
    np.testing.assert_array_equal(x.vessels, make.eye(0).vessels & make.eye(0).fov)
    np.testing.assert_array_equal(y.observer2, make.eye(3).vessels & y.fov.numpy())


def _matched(images: list[str], labels: list[str]) -> dict[str, str | None]:
    names = [f"images/{i}.png" for i in images] + [f"masks/{label}.gif" for label in labels]
    cases, problems = list_folder(Source(Path("/nowhere"), {name: (Path(name), ()) for name in names}))
    assert not problems
    return {i.id: i.vessels and i.vessels[6:-4] for i in cases}


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["21_training", "22_training"], ["21_manual1", "22_manual1"]),  # DRIVE
        (["01_dr", "01_g", "01_h"], ["01_dr", "01_g", "01_h"]),  # HRF
        (["01_dr", "01_g", "01_h"], ["01_dr_mask", "01_g_mask", "01_h_mask"]),
        (["Image_01L", "Image_01R"], ["Image_01L_1stHO", "Image_01R_1stHO"]),
        (["im0001", "im0002"], ["im0001.ah", "im0002.ah"]),  # STARE
        (["1", "1_2", "12"], ["1_mask", "1_2_mask", "12_mask"]),
    ],
)
def test_names_are_matched(images: list[str], labels: list[str]) -> None:
    assert _matched(images, labels) == dict(zip(images, labels, strict=True))


@given(
    st.sets(st.text("a1_", min_size=1, max_size=4).filter(lambda s: s[0] != "_"), min_size=1, max_size=6), st.booleans()
)
def test_any_names_match_themselves_and_their_suffixed_forms(stems: set[str], exact: bool) -> None:
    labels = {s: s if exact else f"{s}_zzzz" for s in stems}
    assert _matched(sorted(stems), [labels[s] for s in sorted(stems)]) == labels


def test_no_guess_is_made_where_a_leading_number_is_not_unique() -> None:
    cases = _matched(["01_left", "01_right"], ["01_manual1"])
    assert cases == {"01_left": None, "01_right": None, "01_manual1": "01_manual1"}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ("images/a.png images/b.png masks/a.png", r"images/b\.png has no label in"),
        ("a.png", r" a\.png has no label in"),
        ("images/a.png", r"images/a\.png has no label in"),
        ("images/a.png masks/a.png masks/b.png", r"masks/b\.png has no image in"),
        ("images/a.png masks/a.png masks/a_b.png", r"masks/a\.png and masks/a_b\.png .* both belong to images/a\.png"),
        ("1/images/a.png 1/masks/a.png 2/images/a.png 2/masks/a.png", "several sets of images: 1/images, 2/images"),
        ("left/a.png right/a.png", "no vessel masks"),
        ("", "no images in"),
    ],
)
def test_what_does_not_match_is_named(make: Make, tmp_path: Path, files: str, told: str) -> None:
    for name in files.split():
        make.save(tmp_path / name, make.eye(0).vessels)
    with pytest.raises(UserError, match=told):
        load_cases(tmp_path)


@pytest.mark.parametrize(("part", "name"), [("masks", "vessel mask"), ("fov", "field-of-view mask")])
def test_other_size_is_told_with_both(make: Make, tmp_path: Path, part: str, name: str) -> None:
    make.folder(tmp_path, ["a"])
    Image.new("L", (72, 59), 255).save(tmp_path / part / "a.png")
    with pytest.raises(UserError, match=f"{name} is 72 × 59 px but the image is 72 × 60 px"):
        load_cases(tmp_path)[0]


def test_masks_of_zeros_and_ones_are_masks(make: Make, tmp_path: Path) -> None:
    make.folder(tmp_path, ["a"])
    eye = make.eye(0)
    make.save(tmp_path / "masks" / "a.png", eye.vessels.astype(np.uint8))
    np.testing.assert_array_equal(load_cases(tmp_path)[0].vessels, eye.vessels & eye.fov)
    make.save(tmp_path / "masks" / "a.png", eye.vessels.astype(np.uint8) * 3)
    with pytest.raises(UserError, match="values up to 3"):
        load_cases(tmp_path)[0]


def test_colour_palette_and_depth(make: Make, tmp_path: Path) -> None:
    make.folder(tmp_path, ["a"])
    eye = make.eye(0)
    mask = Image.fromarray(eye.vessels.astype(np.uint8) * 255)
    for mode in ("1", "P", "RGB", "RGBA"):
        mask.convert(mode).save(tmp_path / "masks" / "a.png")
        np.testing.assert_array_equal(load_cases(tmp_path)[0].vessels, eye.vessels & eye.fov)
    Image.fromarray(eye.image[..., 0].astype(np.uint16) * 257).save(tmp_path / "images" / "a.png")
    np.testing.assert_array_equal((load_cases(tmp_path)[0].image * 255).round().numpy(), [eye.image[..., 0]] * 3)
    Image.fromarray(eye.vessels.astype(np.uint16) * 65535).save(tmp_path / "masks" / "a.png")
    with pytest.raises(UserError, match="more than 8 bits"):
        load_cases(tmp_path)[0]


@pytest.mark.parametrize("count", [None, 1, 2, 3, 99])
def test_count_takes_the_first(make: Make, tmp_path: Path, count: int | None) -> None:
    assert load_cases(make.folder(tmp_path, "abc"), count=count).ids == tuple("abc"[:count])
    for wrong in (0, -1):
        with pytest.raises(UserError, match=f"{wrong} cases"):
            load_cases(tmp_path, count=wrong)


def test_paths_are_recognised_by_what_is_there(make: Make, tmp_path: Path) -> None:
    drive, chase = make.drive(tmp_path / "d", training=(21,), test=(1,)), make.chase(tmp_path / "c", [8])
    assert load_cases(str(drive), split="training").dataset == "drive"
    assert load_cases(chase).dataset == "chase"
    assert load_cases(make.pack(chase, tmp_path / "x.zip")).ids == ("08L", "08R")
    assert load_cases(drive / "training").ids == ("21_training",)
    for part in ("one", "two"):
        make.folder(tmp_path / "mine" / part, ["a"])
    assert load_cases(tmp_path / "mine" / "two").ids == ("a",)


def test_a_name_comes_before_a_folder(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIBENCH_DRIVE", str(make.drive(tmp_path / "d", training=(21,), test=(1, 2))))
    monkeypatch.chdir(make.folder(tmp_path / "cwd" / "drive", ["a"]).parent)
    assert load_cases("drive", count=1).ids == ("01",)
    assert load_cases("drive", split="train").ids == ("21",)
    assert load_cases("./drive").ids == ("a",)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("drvie", r"'drvie' is neither a dataset nor a folder or zip archive\. Did you mean drive"),
        ("zzz", "'zzz' is neither"),
        ("my eyes", "'my eyes' is neither"),
        ("", "'' is neither"),
        ("drvie[root=x]", "Did you mean drive"),
        ("drive[rot=x]", "no parameter 'rot'"),
        ("./drvie", r"no folder or zip archive .*drvie"),
        ("eyes.zip", r"no folder or zip archive .*eyes\.zip"),
        ("odd", "is no dataset"),
    ],
)
def test_what_is_neither(
    data: str, told: str, dataset_points: list[EntryPoint], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_points.append(EntryPoint("odd", "json:dumps", "xaibench.datasets"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        load_cases(data)


def test_a_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    single = r"is neither .*`xaibench explain .*photo\.png`"
    for name, told in (("text.txt", "is neither"), ("text.zip", "is not a readable zip"), ("photo.png", single)):
        (tmp_path / name).write_text("hello")
        with pytest.raises(UserError, match=f"{name} {told}"):
            load_cases(tmp_path / name)


def test_an_encrypted_archive_is_told(make: Make, tmp_path: Path) -> None:
    archive = make.pack(make.folder(tmp_path / "eyes", ["a"]), tmp_path / "eyes.zip")
    archive.write_bytes(declaring(archive.read_bytes(), flags=1))
    with pytest.raises(UserError, match="encrypted"):
        load_cases(archive)[0]
