"""xaibench: which explanation method can be trusted on a vessel-segmentation network, and on which vessels?

The names below are all that is public; each is imported when it is first used, so that ``import xaibench`` is quick.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaibench.data.case import Case as Case
    from xaibench.data.case import Cases as Cases
    from xaibench.data.case import make_case as make_case
    from xaibench.data.load import load_cases as load_cases
    from xaibench.data.photograph import load_image as load_image
    from xaibench.errors import Skipped as Skipped
    from xaibench.errors import UserError as UserError
    from xaibench.explainers.explain import explain as explain
    from xaibench.metrics.score import Score as Score
    from xaibench.model.load import load_model as load_model
    from xaibench.registry import dataset as dataset
    from xaibench.registry import explainer as explainer
    from xaibench.registry import metric as metric
    from xaibench.registry import model as model
    from xaibench.run.request import run as run
    from xaibench.scorer import Scorer as Scorer
    from xaibench.scorer import Target as Target
    from xaibench.scorer import target as target

_HOMES = {
    "Case": "xaibench.data.case",
    "Cases": "xaibench.data.case",
    "make_case": "xaibench.data.case",
    "load_cases": "xaibench.data.load",
    "load_image": "xaibench.data.photograph",
    "Skipped": "xaibench.errors",
    "UserError": "xaibench.errors",
    "explain": "xaibench.explainers.explain",
    "Score": "xaibench.metrics.score",
    "load_model": "xaibench.model.load",
    "dataset": "xaibench.registry",
    "explainer": "xaibench.registry",
    "metric": "xaibench.registry",
    "model": "xaibench.registry",
    "run": "xaibench.run.request",
    "Scorer": "xaibench.scorer",
    "Target": "xaibench.scorer",
    "target": "xaibench.scorer",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'xaibench' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Importing a subpackage binds its name here; ``run`` and ``model`` are public functions, too, and stay those."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
