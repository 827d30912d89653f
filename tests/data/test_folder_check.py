"""The check of a data folder finds everything that is wrong, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from layouts import Make
from PIL import Image

from xaibench.data.folder_check import check_folder
from xaibench.errors import UserError


def _has(lines: list[str], *parts: str) -> bool:
    return any(all(part in line for part in parts) for line in lines)


def test_a_good_folder_has_figures_and_no_problems(make: Make, tmp_path: Path) -> None:
    report = check_folder(make.folder(tmp_path, ["a", "b", "c"]))
    assert report.problems == []
    eyes = [make.eye(n) for n in range(3)]
    fractions = [(e.vessels & e.fov).sum() / e.fov.sum() for e in eyes]
    facts = ["layout: images with masks", "images: 3", "labels: 3", "field-of-view masks: 3", "second observers: none"]
    assert {*facts, "sizes: 3 of 72 × 60 px"} <= set(report.facts)
    assert _has(report.facts, f"vessels: {np.mean(fractions):.1%}", f"{min(fractions):.1%}", f"{max(fractions):.1%}")


def test_the_thin_share_is_that_of_the_pixels(make: Make, tmp_path: Path) -> None:
    y, x = np.mgrid[:540, :540]
    fov = (y - 269.5) ** 2 + (x - 269.5) ** 2 < 270**2  # DRIVE's scale
    vessels = np.zeros((540, 540), bool)
    vessels[200:209], vessels[300] = True, True
    make.save(tmp_path / "images" / "a.png", np.where(fov[..., None], 120, 0).repeat(3, 2).astype(np.uint8))
    make.save(tmp_path / "masks" / "a.png", vessels)
    make.save(tmp_path / "fov" / "a.png", fov)
    share = fov[300].sum() / (fov[300].sum() + fov[200:209].sum())
    line = next(line for line in check_folder(tmp_path).facts if line.startswith("thin vessels: "))
    told = float(line.removeprefix("thin vessels: ").removesuffix("% of vessel pixels"))
    assert told == pytest.approx(100 * share, abs=0.3)  # the corners of the thick one count as thin


def test_drive_and_chase(make: Make, tmp_path: Path) -> None:
    report = check_folder(make.drive(tmp_path / "d", training=(21, 22), test=(1, 2)))
    assert {"images: 4", "labels: 4", "field-of-view masks: 4", "second observers: 2"} <= set(report.facts)
    report = check_folder(make.drive(tmp_path / "e", training=(21, 22), test=(1, 2, 3), labels=False))
    assert report.problems == [] and _has(report.facts, "3 images without labels") and "images: 2" in report.facts
    report = check_folder(make.pack(make.chase(tmp_path / "c", [7, 8]), tmp_path / "c.zip"))
    assert {"images: 4", "second observers: 4"} <= set(report.facts) and _has(report.facts, "none, estimated")


def test_all_problems_are_told_together(make: Make, tmp_path: Path) -> None:
    names = ["good", "nolabel", "size", "cut", "cutmask", "empty", "inverted", "twin", "nofov", "dark"]
    make.folder(tmp_path, [*names, "twinlabel", "outside"])
    images, masks, fov = tmp_path / "images", tmp_path / "masks", tmp_path / "fov"
    (masks / "nolabel.png").unlink()
    make.save(masks / "stray.png", make.eye(50).vessels)
    Image.new("L", (70, 60), 255).save(masks / "size.png")
    make.cut(images / "cut.png")
    make.cut(masks / "cutmask.png", 0.4)
    make.save(masks / "empty.png", np.zeros((60, 72), bool))
    make.save(masks / "inverted.png", ~make.eye(6).vessels)
    (images / "twin.png").write_bytes((images / "good.png").read_bytes())
    (fov / "nofov.png").unlink()
    make.save(fov / "dark.png", np.zeros((60, 72), bool))
    make.save(masks / "twinlabel.png", make.eye(0).vessels)
    make.save(masks / "outside.png", np.indices((60, 72)).sum(0) < 5)
    (tmp_path / "rest.zip").write_bytes(b"PK\x03\x04 nothing")
    problems = check_folder(tmp_path).problems
    wanted = [
        ("images/nolabel.png", "no label"),
        ("masks/stray.png", "no image"),
        ("masks/size.png is 70 × 60 px", "72 × 60 px"),
        ("images/cut.png", "cannot be read"),
        ("masks/cutmask.png", "cannot be read"),
        ("masks/empty.png", "empty"),
        ("masks/inverted.png", "inverted"),
        ("images/twin.png", "same image as images/good.png"),
        ("images/nofov.png", "no field-of-view mask"),
        ("fov/dark.png", "empty"),
        ("masks/twinlabel.png is the same image as masks/good.png.",),
        ("masks/outside.png has no vessels inside the field of view.",),
        ("rest.zip", "not a readable zip"),
    ]
    for parts in wanted:
        assert _has(problems, *parts), (parts, problems)
    assert len(problems) == len(wanted), problems


def test_folders_that_hold_nothing_of_use(make: Make, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        check_folder(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert _has(check_folder(tmp_path / "empty").problems, "no images")
    make.save(tmp_path / "alone" / "a.png", make.eye(0).image)
    assert check_folder(tmp_path / "alone").problems == ["The image a.png has no label."]


def test_real_pictures_are_good(real_chase: Path, tmp_path: Path) -> None:
    for path in real_chase.glob("Image_01?*"):
        (tmp_path / path.name).symlink_to(path)
    report = check_folder(tmp_path)
    assert report.problems == []
    assert {"images: 2", "labels: 2", "second observers: 2", "sizes: 2 of 999 × 960 px"} <= set(report.facts)
