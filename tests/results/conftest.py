"""The scripts of ``results/`` as modules."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a script of ``results/`` by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "results"))
    return importlib.import_module


@pytest.fixture
def script(request: pytest.FixtureRequest, load: Callable[[str], ModuleType]) -> ModuleType:
    """The script that the test module names as ``SCRIPT``."""
    return load(request.module.SCRIPT)
