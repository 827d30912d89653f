from pathlib import Path

import pytest
from layouts import write_drive
from made_up import make_network

from cli.said import Register, Run
from cli.unusual import ABSENT
from xaibench import registry
from xaibench.cli.commands import doctor
from xaibench.models import bundled
from xaibench.models.weights_file import save_weights, weights_digest


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all bundled weights."""
    folder = tmp_path / "weights"
    for name in registry.names("model"):
        save_weights(make_network(), folder / f"{name}.safetensors", {})
    monkeypatch.setattr(bundled, "FOLDER", folder)
    return folder


def look(xaibench: Run) -> tuple[int, dict[str, list[str]], list[str]]:
    """Exit code, texts by topic, and the problems."""
    said = xaibench("doctor", "--json")
    found = said.json
    assert found["ok"] == (said.code == 0) and not said.err
    texts: dict[str, list[str]] = {}
    for f in found["findings"]:
        texts.setdefault(f["topic"], []).append(f["text"])
    return said.code, texts, [f["text"] for f in found["findings"] if not f["ok"]]


def test_a_sound_installation(xaibench: Run, installed: Path, cache_folder: Path) -> None:
    code, texts, problems = look(xaibench)
    assert code == 0 and not problems
    assert any(t.startswith("torch ") for t in texts["package"])
    assert any("threads" in t for t in texts["device"])
    assert f"unet-phantom: digest {weights_digest(make_network())}" in texts["weights"]
    assert texts["cache"] == [f"{cache_folder / 'xaibench' / 'engine'} can be written"]
    assert texts["self-test"][0].startswith(
        "gradcam and a deletion curve of unet-phantom on a phantom of 128 px: finite"
    )
    said = xaibench("doctor")
    assert said.code == 0 and said.out.endswith("\nAll is well.\n") and "!!" not in said.out


def test_weights_that_are_missing(xaibench: Run, installed: Path) -> None:
    (installed / "unet-phantom.safetensors").unlink()
    code, texts, problems = look(xaibench)
    assert code == 1 and len(problems) == 1 and "unet-phantom.safetensors" in problems[0]
    assert "of an untrained network" in texts["self-test"][0] and ": finite" in texts["self-test"][0]
    said = xaibench("doctor")
    assert "!!  weights" in said.out and said.out.endswith("1 problem, marked !!.\n")


def test_a_variable_that_points_to_nothing(
    xaibench: Run, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAIBENCH_DRIVE", str(tmp_path / "gone"))
    monkeypatch.setenv("XAIBENCH_CHASE", str(tmp_path / "weights"))
    code, _, problems = look(xaibench)
    assert code == 1 and problems == [
        f"CHASE_DB1: XAIBENCH_CHASE is {tmp_path / 'weights'}, which holds no labelled images",
        f"DRIVE: XAIBENCH_DRIVE is {tmp_path / 'gone'}, which does not exist",
    ]


def test_data_that_are_found(xaibench: Run, installed: Path) -> None:
    write_drive(Path("data/DRIVE"), training=[21])
    _, texts, _ = look(xaibench)
    assert f"DRIVE: 1 labelled image in {Path('data/DRIVE').absolute()}" in texts["data"]


def test_a_plugin_that_does_not_import(xaibench: Run, installed: Path, register_plugin: Register) -> None:
    register_plugin("broken", ABSENT)
    code, _, problems = look(xaibench)
    assert code == 1 and len(problems) == 1 and "'broken' of other-package" in problems[0]


def test_a_cache_that_cannot_be_written(xaibench: Run, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    code, _, problems = look(xaibench)
    assert code == 1 and len(problems) == 1 and "set XDG_CACHE_HOME" in problems[0]


def test_a_self_test_that_fails(xaibench: Run, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no kernel for this machine")

    monkeypatch.setattr(doctor, "_network", fail)
    code, _, problems = look(xaibench)
    assert code == 1 and problems == ["failed: RuntimeError: no kernel for this machine"]
