"""What tests of the command line share: small weights, small phantoms, a finished run, and plugins that fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from made_up import make_network

from cli.said import Run, Said
from xaibench.cli.main import main
from xaibench.models.weights_file import save_weights

PLUGINS = '''
from xaibench import Score, Skipped, explainer, metric

@explainer("boom", family="cam")
def boom(scorer, image, *, rng):
    """It fails."""
    raise RuntimeError("no such thing as a map")

@explainer("picky", family="cam")
def picky(scorer, image, *, rng):
    """It cannot work."""
    raise Skipped("the moon is full")

@metric("peak-share", family="shape", better="higher", range=(0, 1), label="peak", main=4, narrow=False,
        explanation="The share of the map in its highest pixel.")
def peak_share(attribution, case):
    size = abs(attribution)
    return Score(float(size.max() / size.sum()))
'''


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in an empty folder, on a machine that has no data."""
    monkeypatch.chdir(tmp_path)
    for variable in ("XAIBENCH_DRIVE", "XAIBENCH_CHASE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def xaibench(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process."""

    def run(*argv: str) -> Said:
        capsys.readouterr()
        code = main([str(a) for a in argv])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_network(), path, {})
    return path


@pytest.fixture(scope="session")
def small(weights: Path) -> tuple[str, ...]:
    """Options that make a run quick: Grad-CAM and the controls on 2 images."""
    data = ("--data", "phantom[size=128]", "--cases", "2", "--model", str(weights))
    return (*data, "--method", "gradcam", "--metric", "auroc-vessels")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small: Sequence[str]) -> Path:
    """The folder of a finished run, which no test may change."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["run", *small, "--out", str(folder), "-q"]) == 0
    return folder


@pytest.fixture
def plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, register_plugin: Callable[..., None]
) -> Callable[..., None]:
    """Registers objects of the modules cli_plugins and cli_broken for one test."""
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "cli_plugins.py").write_text(PLUGINS)
    (folder / "cli_broken.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop("cli_plugins", None)
    return register_plugin
