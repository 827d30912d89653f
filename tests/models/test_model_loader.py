import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from xaibench import registry
from xaibench.errors import UserError
from xaibench.models.model_loader import load_model
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.weights_file import save_weights, weights_digest

FACTORIES = """
from torch import nn
def good(): return nn.Conv2d(3, 1, 1)
def number(): return 3
def broken(): raise RuntimeError("no weights here")
thing = 4
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_factories.py").write_text(FACTORIES)
    (tmp_path / "my_broken.py").write_text("import nothing_of_this_name")
    (tmp_path / "json.py").touch()
    (tmp_path / "weights").write_bytes(b"1234")
    package = tmp_path / "inner" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(FACTORIES)
    (package / "nets.py").write_text("from .parts import good")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("my_factories", "my_broken", *(f"my_package{part}" for part in ("", ".nets", ".parts"))):
        sys.modules.pop(name, None)
    return "my_factories"


def test_a_module_is_taken_as_it_is_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Dropout())
    assert load_model(model) is model and not model[1].training


@pytest.mark.parametrize("kind", [str, Path])
def test_a_weights_file(tmp_path: Path, network: VesselUNet, kind: type) -> None:
    save_weights(network, tmp_path / "w.safetensors", {})
    assert weights_digest(load_model(kind(tmp_path / "w.safetensors"))) == weights_digest(network)


@pytest.mark.parametrize("place", ["my_factories", "./my_factories.py", "inner/my_package/nets.py"])
def test_a_factory_in_the_working_folder_or_a_file(module: str, place: str) -> None:
    first = sys.path[0]
    model = load_model(f"{place}:good")
    assert isinstance(model, nn.Conv2d) and not model.training
    assert sys.path[0] == first and str(Path.cwd()) in sys.path[-1]  # nothing there hides what is installed
    assert model(torch.zeros(1, 3, 4, 4)).shape == (1, 1, 4, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my_factories:number", "is a int, not a torch.nn.Module"),
        ("my_factories:thing", "cannot be made: TypeError"),
        ("my_factories:broken", "cannot be made: RuntimeError: no weights here"),
        ("my_factories:goood", "no 'goood'. Did you mean good"),
        ("my_broken:f", "'my_broken' does not import: ModuleNotFoundError: No module named 'nothing_of_this.* Mend it"),
        ("my_absent:f", "'my_absent' does not import: ModuleNotFoundError.* Give the path to its file"),
        ("my_factories.py", "no function in it is named"),
        ("my_absent.py:f", r"There is no file my_absent\.py"),
        ("json.py:load", r"json\.py has the name of another module, .*json.__init__\.py\. Rename"),
        ("unet-fantom", "no model called 'unet-fantom'. Did you mean unet-phantom"),
        ("nowhere/w.safetensors", "no weights file nowhere/w.safetensors"),
        ("nowhere/w.pt", "no weights file nowhere/w.pt"),
        ("./weights", "no safetensors file"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_sentence(module: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_model(text)


def test_a_registered_model_that_gives_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "get", lambda kind, name: lambda: "no network")
    with pytest.raises(UserError, match="is a str, not a"):
        load_model("mine")
