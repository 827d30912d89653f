"""Whether rankings agree, and what beats a control."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from leaderboard.synthetic import records

from xaibench.leaderboard.aggregate import aggregate
from xaibench.running.plan import SUITES, chosen_metrics


@pytest.fixture
def agreement(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("agreement")


def test_agreement_is_over_the_methods_that_both_have(agreement: ModuleType) -> None:
    rankings = {
        "one": {"a": 0.1, "b": 0.2, "c": 0.3},
        "same order": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0},
        "reversed": {"a": 0.3, "b": 0.2, "c": 0.1},
    }
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in agreement.agreement(rankings)]
    assert cells[0] == ["", "one", "same order", "reversed", "best", "methods"]
    assert cells[2] == ["one", "", "1.00", "-1.00", "c", "3"]
    assert cells[3] == ["same order", "1.00", "", "-1.00", "d", "4"]
    assert cells[4] == ["reversed", "-1.00", "-1.00", "", "a", "3"]


def test_what_beats_a_control_is_told_by_the_interval_of_the_difference(agreement: ModuleType) -> None:
    scores = {"above": [0.8] * 12, "about": [0.9] * 6 + [0.1] * 6, "below": [0.1] * 12}
    table = aggregate([*records(scores), *records({"prediction": [0.5] * 12, "frangi": [0.0] * 12}, control=True)])
    head, _ruler, *lines = agreement.beaten(table, ["srg"], ["prediction", "frangi"])
    assert head == "| | prediction: srg | frangi: srg |"
    assert set(lines) == {"| above | + | + |", "| about | = | + |", "| below | − | + |"}
    gap = aggregate([*records({"gap": [0.8] * 11 + [None]}), *records({"frangi": [0.0] * 12}, control=True)])
    assert agreement.beaten(gap, ["srg"], ["frangi"])[2:] == ["| gap | – |"]
    with pytest.raises(ValueError, match="lacks one of srg, lift-thin"):
        agreement.beaten(table, ["srg", "lift-thin"], ["frangi"])


def test_the_columns_of_the_page_are_those_of_the_suite(agreement: ModuleType) -> None:
    wanted = set(map(str, chosen_metrics([], SUITES["standard"])))
    assert set(agreement.FILLS) < wanted
