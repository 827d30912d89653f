from __future__ import annotations

import io

import pytest

from cli.said import Terminal
from xaibench.cli.console import Console, plain, table


@pytest.mark.parametrize(
    ("stream", "quiet", "bars"), [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)]
)
def test_bars_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool, bars: bool
) -> None:
    err = stream()
    monkeypatch.setattr("sys.stderr", err)
    with Console(quiet=quiet).bar(3, "cell") as bar:
        bar.update()
    text = err.getvalue()
    assert ("0/3" in text) == bars == bool(text)
    assert "\x1b[3" not in text  # no colour


def test_notes_are_dropped_when_quiet_and_warnings_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet in (False, True):
        console = Console(quiet=quiet)
        console.note("note")
        console.warn("warning")
    assert capsys.readouterr() == ("", "note\nwarning\nwarning\n")


def test_plain_values_are_those_of_json() -> None:
    inf, nan = float("inf"), float("nan")
    value = {"a": (1, inf, -inf, nan, 0.5), "b": True, "c": None, "d": {"e": [complex(1)]}}
    assert plain(value) == {"a": [1, None, None, None, 0.5], "b": True, "c": None, "d": {"e": ["(1+0j)"]}}


def test_a_table_is_aligned() -> None:
    assert table(["", "x"], [["one", "1"], ["b", "23"]], left=1) == "      x\none   1\nb    23"
