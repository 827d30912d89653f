"""What `make soak` prints at its end: which faults there were, how often, and what they cost."""

from collections.abc import Callable
from typing import Any

import pytest
from faults import Tally

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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _rows:
        return
    lines = [HEADS, *((f, *map(str, (t.injected, t.lost, t.twice, t.corrupt))) for f, t in _rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    terminalreporter.section("faults")
    for first, *others in lines:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]
        terminalreporter.write_line("  ".join(cells))
