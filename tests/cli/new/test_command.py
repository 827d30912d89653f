"""A new plugin's package: its name, its files, and that it works as it is written, imported by hand or installed."""

import ast
import os
import runpy
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import GreenFilter, target_on

import xaibench as xb
from cli.said import Run
from xaibench.cli.new.command import FUNCTIONS, plugin_package
from xaibench.data.case import Case


@pytest.fixture
def kind() -> str:
    return "explainer"


both = pytest.mark.parametrize("kind", FUNCTIONS)


@pytest.fixture
def package(tmp_path: Path, xaibench: Run, kind: str) -> Path:
    """The folder of a package ``my-method``."""
    said = xaibench("new", kind, "my-method")
    assert said.code == 0
    return tmp_path / "my-method"


@pytest.fixture
def imported(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package's sources are in the path."""
    monkeypatch.syspath_prepend(package / "src")
    yield
    sys.modules.pop("xaibench_my_method", None)


@both
def test_its_files(package: Path, kind: str, tmp_path: Path) -> None:
    found = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()}
    assert found == {"pyproject.toml", "README.md", "src/xaibench_my_method/__init__.py", "tests/test_my_method.py"}
    project = tomllib.loads((package / "pyproject.toml").read_text())
    assert project["project"]["name"] == "xaibench-my-method"
    assert any(d.startswith("xaibench>=") for d in project["project"]["dependencies"])
    points = project["project"]["entry-points"][f"xaibench.{kind}s"]
    assert points == {"my-method": f"xaibench_my_method:my_method_{FUNCTIONS[kind]}"}
    assert len((package / "README.md").read_text().splitlines()) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["my-method"]  # nothing else was left


@both
def test_it_says_where_it_is_and_what_is_next(kind: str, xaibench: Run, tmp_path: Path) -> None:
    said = xaibench("new", kind, "x2", "--out", "deep/down")
    assert said.code == 0 and "deep/down/src/xaibench_x2/__init__.py" in said.out
    assert "pip install -e deep/down" in said.err and "xaibench check x2" in said.err
    assert (tmp_path / "deep/down/tests/test_x2.py").is_file()


@pytest.mark.parametrize(
    "name", ["my-method", "class", "torch", "none", "explainer", "image", "a-1-b", "x", "random-2", "case"]
)
@both
def test_any_name_makes_tidy_files_that_can_be_read(kind: str, name: str) -> None:
    for place, text in plugin_package(kind, name).items():
        assert "$" not in text and "$" not in place
        assert text.endswith("\n") and not text.endswith("\n\n")
        assert all(len(line) <= 120 and line == line.rstrip() for line in text.splitlines())
        if place.endswith(".py"):
            ast.parse(text)
        if place.endswith(".toml"):
            tomllib.loads(text)


@both
def test_its_own_test_passes(imported: None, package: Path) -> None:
    names = runpy.run_path(str(package / "tests" / "test_my_method.py"))
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


@pytest.mark.parametrize("kind", ["metric"])
def test_its_score_is_what_it_says(imported: None, eye: Case) -> None:
    """All of the attribution on one pixel is as far away as that pixel."""
    import xaibench_my_method

    y, x = np.argwhere(~eye.vessels.numpy() & eye.fov.numpy())[40]
    map_ = np.zeros(tuple(eye.fov.shape), np.float32)
    map_[y, x] = 2.5
    away = np.hypot(*(np.argwhere(eye.vessels.numpy()) - (y, x)).T).min() / eye.scale
    score = xaibench_my_method.my_method_score(map_, eye)
    assert score.value == pytest.approx(away) and 0 < away < 20
    assert xaibench_my_method.my_method_score(map_, eye, cap=away / 2).value == pytest.approx(away / 2)


def test_its_map_is_what_it_says(imported: None, eye: Case) -> None:
    """For a score that is linear in green: a cell's fall is that of its target pixels, set to the mean green."""
    import xaibench_my_method  # type: ignore[import-not-found]

    level, gain = 0.4, 20.0
    scorer = xb.Scorer(GreenFilter(level, gain), target_on(eye))
    map_ = xb.explain(scorer, eye.image, method=xaibench_my_method.my_method_map)
    green, side = eye.image[1], -(-max(eye.fov.shape) // 8)
    share = gain * (green[eye.fov].mean() - green) * eye.vessels / eye.vessels.sum()
    expected = torch.zeros_like(green)
    for top in range(0, green.shape[0], side):
        for left in range(0, green.shape[1], side):
            cell = slice(top, top + side), slice(left, left + side)
            expected[cell] = eye.fov[cell] * share[cell].sum() / eye.fov[cell].sum().clamp(min=1)
    assert torch.allclose(map_, expected, atol=1e-5) and map_.max() > 1e-3


def test_nothing_that_is_there_is_overwritten(xaibench: Run, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "pyproject.toml").write_text("mine")
    for out, words in (("full", "full is not"), ("full/pyproject.toml", "is a file"), ("full/pyproject.toml/x", "")):
        said = xaibench("new", "explainer", "my-method", "--out", out)
        assert said.code == 2 and words in said.err
    assert (full / "pyproject.toml").read_text() == "mine"
    assert [p.name for p in full.iterdir()] == ["pyproject.toml"] and [p.name for p in tmp_path.iterdir()] == ["full"]


def test_an_empty_folder_is_filled_also_if_one_is_in_it(xaibench: Run, tmp_path: Path) -> None:
    assert xaibench("new", "explainer", "my-method", "--out", ".").code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["README.md", "pyproject.toml", "src", "tests"]


def test_what_fails_half_way_leaves_nothing(xaibench: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_text, []

    def full_disk(path: Path, *args: str) -> int:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        return write(path, *args)

    monkeypatch.setattr(Path, "write_text", full_disk)
    said = xaibench("new", "explainer", "my-method")
    assert said.code == 2 and "my-method cannot be written: No space left on device." in said.err
    assert list(tmp_path.iterdir()) == []


def test_installed_they_are_listed_checked_and_run(xaibench: Run, weights: Path, tmp_path: Path) -> None:
    """In a virtual environment that sees this one's packages; it needs no network."""
    for kind, name in (("explainer", "my-method"), ("metric", "my-score")):
        assert xaibench("new", kind, name).code == 0
    home = tmp_path / "venv"
    venv.create(home, symlinks=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def run(*argv: str) -> str:
        python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
        done = subprocess.run([python, *argv], capture_output=True, text=True, cwd=tmp_path, env=clean)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    seen = [str(Path(xb.__file__).parents[1]), *(p for p in sys.path if p.endswith("-packages"))]
    site = Path(run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "outer.pth").write_text("\n".join(seen))
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-q")
    run("-m", "pip", "install", *options, "-e", "my-method", "-e", "my-score")
    (line,) = (x for x in run("-m", "xaibench", "list", "explainers").splitlines() if x.startswith("my-method "))
    assert "xaibench-my-method" in line and "cells=8" in line
    assert "\nmy-score " in run("-m", "xaibench", "list", "metrics")
    method, score = run("-m", "xaibench", "check", "--quick", "my-method", "my-score").split("\nmy-score: ")
    assert "planted-evidence    passed" in method and "oracle" in score
    small = ("--data", "phantom[size=128]", "--cases", "1", "--model", str(weights), "--out", "first")
    run("-m", "xaibench", "run", "--method", "my-method", "--metric", "auroc-vessels", "my-score", *small)
    table = (tmp_path / "first" / "leaderboard.csv").read_text()
    assert "my-method" in table and "my-score" in table
