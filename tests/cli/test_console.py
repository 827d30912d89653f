import pytest

from xaibench.cli.console import Console, plain, table


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
