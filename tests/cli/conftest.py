"""What tests of the command line share: small weights, small phantoms, a finished run."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from cli.said import Register, Run, Said
from xaibench.cli.main import main


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
def small(weights: Path) -> tuple[str, ...]:
    """Options that make a run quick: Grad-CAM and the controls on 2 images."""
    data = ("--data", "phantom[size=128]", "--cases", "2", "--model", str(weights))
    return (*data, "--method", "gradcam", "--metric", "auroc-vessels")


@pytest.fixture
def unusual(register_plugin: Register) -> None:
    """The methods boom and picky are installed."""
    for name in ("boom", "picky"):
        register_plugin(name, f"cli.unusual:{name}")


@pytest.fixture
def compute(xaibench: Run, small: Sequence[str]) -> Run:
    """The run that is quick, with more options."""
    return partial(xaibench, "run", *small)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, small: Sequence[str]) -> Path:
    """The folder of a finished run, which no test may change."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    assert main(["run", *small, "--out", str(folder), "-q"]) == 0
    return folder
