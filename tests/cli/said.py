"""What a command gave back, and what the quick run of the tests is made of."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple

from xaibench.registry import get, names

# Of the run that conftest calls small: Grad-CAM and all controls, each on two images.
METHODS = 1 + sum(get("explainer", name).traits.control for name in names("explainer"))
CELLS = 2 * METHODS


class Said(NamedTuple):
    """Exit code, stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


class Terminal(io.StringIO):
    """A stream that counts as a terminal."""

    def isatty(self) -> bool:
        return True
