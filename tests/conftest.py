"""What many tests share: a made-up eye, small networks, and a cache that is no one's own."""

import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from importlib.metadata import entry_points as installed
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bad_input.judge import inputs, refused
from faults import Lab, numbers
from hypothesis import HealthCheck, settings
from made_up import GreenFilter, PlainCNN, draw_eye, make_network, settled, target_on
from torch import nn

from xaibench.data.case import Case
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.weights_file import save_weights, weights_digest
from xaibench.registry import entry_points
from xaibench.scorer import Scorer

# How many inputs a property is tried on; a property that says a number of its own keeps it.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("ci", max_examples=100, deadline=None, suppress_health_check=SLOW)
settings.register_profile("nightly", max_examples=2000, deadline=None, suppress_health_check=SLOW, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# A job in the background ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing is read from or written to the user's own cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def quick_garbage() -> None:
    """A run collects garbage before it measures memory: what the imports made need not be searched each time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of several processes that run the tests, each hands in what it has counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["bad_input"] = dict(inputs), dict(refused)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    counted = getattr(node, "workeroutput", {}).get("bad_input", ({}, {}))
    inputs.update(counted[0])
    refused.update(counted[1])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many inputs each reader was given."""
    if inputs:
        terminalreporter.section("inputs per reader")
    for reader, count in sorted(inputs.items()):
        terminalreporter.write_line(f"{count:8}  {reader} ({refused[reader]} refused)")


@pytest.fixture(scope="session")
def eye() -> Case:
    return draw_eye()


@pytest.fixture(scope="session")
def network() -> Iterator[VesselUNet]:
    """A small network with random weights; no test may change it."""
    model = make_network()
    digest = weights_digest(model)
    yield model
    assert weights_digest(model) == digest
    assert not any(m.training or m._forward_hooks for m in model.modules())


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the weights of a small network."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_network(), path, {})
    return path


@pytest.fixture
def lab(tmp_path: Path, weights: Path) -> Lab:
    return Lab(tmp_path, weights)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> dict[str, Any]:
    """The numbers of a lab's run to which nothing is done."""
    lab = Lab(tmp_path_factory.mktemp("undisturbed"), weights)
    code, _, said = lab.run(lab.folder / "run")
    assert code == 0, said
    return numbers(lab.folder / "run")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system in memory with these options, or again with others; returns its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        how = f"remount,{options}" if folder.is_mount() else options
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode:
            assert not folder.is_mount(), done.stderr
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def scorer(network: VesselUNet, eye: Case) -> Scorer:
    return Scorer(network, target_on(eye))


@pytest.fixture
def linear(eye: Case) -> Scorer:
    """Logit = 20 (.4 - green): the score's gradient is -20 / |S| in green on S, and 0 elsewhere."""
    return Scorer(GreenFilter(), target_on(eye))


@pytest.fixture
def plain() -> nn.Module:
    return settled(PlainCNN, 3)


@pytest.fixture
def register_plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Registers ``name`` as ``module:object`` of a distribution beside what is installed, for one test."""
    extra: list[EntryPoint] = []

    def clear() -> None:
        entry_points.points_of.cache_clear()
        entry_points.loaded.cache_clear()

    def register(name: str, value: str, dist: str = "other-package", group: str = "xaibench.explainers") -> None:
        point = EntryPoint(name, value, group)
        vars(point).update(dist=SimpleNamespace(name=dist, version="2.5"))
        extra.append(point)
        clear()

    def found(group: str) -> list[EntryPoint]:
        return [*installed(group=group), *(point for point in extra if point.group == group)]

    monkeypatch.setattr(entry_points, "entry_points", found)
    clear()
    yield register
    clear()
