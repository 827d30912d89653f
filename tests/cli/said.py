"""What a command gave back, types of fixtures, and what the quick run of the tests is made of."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from xaibench.registry import get, names

# Of the run that conftest calls small: Grad-CAM and all controls, each on two images.
METHODS = 1 + sum(get("explainer", name).traits.control for name in names("explainer"))
CELLS = 2 * METHODS


class Said(NamedTuple):
    """Exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return strict(self.out)


def strict(text: str) -> Any:
    """JSON as other languages read it: NaN and infinities are refused."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


Run = Callable[..., Said]
Register = Callable[..., None]
Disk = Callable[[str], Path]


class Terminal(io.StringIO):
    """A stream that counts as a terminal."""

    def isatty(self) -> bool:
        return True


def stdout_closed(*argv: str) -> None:
    """Run the command in a process whose reader has left; it must end well and say nothing."""
    command = [sys.executable, "-m", "xaibench", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
