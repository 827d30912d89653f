from pathlib import Path

import numpy as np
from PIL import Image

from cli.said import Run
from xaibench.cli.commands import data
from xaibench.data.case_loader import load_cases
from xaibench.data.datasets import phantom
from xaibench.data.phantom.draw import draw_phantom

DRAW = ("data", "phantom", "--count", "2", "--size", "128", "--seed", "5", "--out", "drawn")


def test_phantoms_are_written_seed_by_seed_and_read_back(xaibench: Run) -> None:
    said = xaibench(*DRAW)
    assert said.code == 0 and said.out == "2 phantoms in drawn. Use with --data drawn\n" and not said.err
    cases = load_cases("./drawn")
    assert cases.ids == ("phantom-0005", "phantom-0006")
    for seed, case in zip((5, 6), cases, strict=True):
        drawn = draw_phantom(seed, (128, 128))
        assert np.array_equal(case.vessels, drawn.vessels) and np.array_equal(case.fov, drawn.fov)
        assert np.array_equal(case.image, drawn.image)


def test_nothing_is_replaced_without_force(xaibench: Run) -> None:
    xaibench(*DRAW)
    path = Path("drawn/images/phantom-0006.png")
    path.write_bytes(b"mine")
    Path("drawn/images/phantom-0005.png").unlink()
    said = xaibench(*DRAW)
    assert said.code == 2 and f"{path} exists already" in said.err and "--force" in said.err
    assert path.read_bytes() == b"mine" and not Path("drawn/images/phantom-0005.png").exists()
    assert xaibench(*DRAW, "--force").code == 0 and path.read_bytes() != b"mine"


def test_check_tells_what_is_there(xaibench: Run) -> None:
    xaibench(*DRAW)
    said = xaibench("data", "check", "drawn")
    lines = said.out.splitlines()
    assert said.code == 0 and "images: 2" in lines and "sizes: 2 of 128 × 128 px" in lines
    assert said.err == "Nothing is wrong. Use it with --data drawn\n"
    assert xaibench("data", "check", "drawn", "-q").err == ""


def test_check_tells_every_problem_on_a_line(xaibench: Run) -> None:
    xaibench(*DRAW)
    Path("drawn/masks/phantom-0005.png").unlink()
    Image.fromarray(np.zeros((128, 128), np.uint8)).save("drawn/masks/phantom-0006.png")
    said = xaibench("data", "check", "drawn")
    problems = [line for line in said.out.splitlines() if line.startswith("problem: ")]
    assert said.code == 2 and len(problems) == 2 and "drawn has 2 problems" in said.err
    assert any("phantom-0005" in p for p in problems) and any("phantom-0006" in p for p in problems)


def test_sizes_are_refused_where_they_are_typed() -> None:
    assert (phantom.SMALLEST, phantom.LARGEST) == data.SIDES
