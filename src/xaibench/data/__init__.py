"""Fundus images with vessel labels: where they come from, and what a case is.

The names below are loaded when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaibench.data.case import Case, Cases
    from xaibench.data.check import Report, check_folder
    from xaibench.data.drive import find_drive
    from xaibench.data.load import load_cases
    from xaibench.data.photograph import load_image

__all__ = ["Case", "Cases", "Report", "check_folder", "find_drive", "load_cases", "load_image"]

_HOMES = {
    "Case": "case",
    "Cases": "case",
    "Report": "check",
    "check_folder": "check",
    "find_drive": "drive",
    "load_cases": "load",
    "load_image": "photograph",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
