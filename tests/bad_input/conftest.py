"""How many inputs each reader was given, said at the end."""

from __future__ import annotations

from typing import Any

from bad_input.judge import inputs, refused


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if inputs:
        terminalreporter.section("inputs per reader")
    for reader, count in sorted(inputs.items()):
        terminalreporter.write_line(f"{count:8}  {reader} ({refused[reader]} refused)")
