"""What stands beside the published tables, as modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of ``results/`` by its name, loaded anew."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "results"))
        module = importlib.import_module(name)
        monkeypatch.delitem(sys.modules, name)
        return module

    return load
