"""What `make soak` prints at its end: which faults there were, how often, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import Lab, Tally, numbers
from made_up import make_network

from xaibench.models.weights_file import save_weights

HEADS = ("fault", "times injected", "records lost", "cells computed twice", "corrupt files")
_rows: list[tuple[str, Tally]] = []

Ledger = Callable[[str, Tally], None]


@pytest.fixture
def ledger() -> Ledger:
    """Puts a line into the table, and fails if anything was lost."""

    def enter(fault: str, tally: Tally) -> None:
        _rows.append((fault, tally))
        assert tally.injected > 0 and (tally.lost, tally.twice, tally.corrupt) == (0, 0, 0), tally

    return enter


@pytest.fixture
def lab(tmp_path: Path, weights: Path) -> Lab:
    return Lab(tmp_path, weights)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(make_network(), path, {})
    return path


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> dict[str, Any]:
    """The numbers of a run to which nothing is done."""
    lab = Lab(tmp_path_factory.mktemp("undisturbed"), weights)
    code, _, said = lab.run(lab.folder / "run")
    assert code == 0, said
    return numbers(lab.folder / "run")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _rows:
        return
    lines = [HEADS, *((f, *map(str, (t.injected, t.lost, t.twice, t.corrupt))) for f, t in _rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    terminalreporter.section("faults")
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        terminalreporter.write_line("  ".join(cells))
