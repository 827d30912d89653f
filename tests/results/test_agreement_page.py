"""``agreement.md``: agreement of rankings, and methods against controls."""

from types import ModuleType

import pytest
from leaderboard.synthetic import tabulate

from xaibench.running.plan import SUITES, chosen_metrics

SCRIPT = "agreement"


def test_agreement_is_over_the_common_methods(script: ModuleType) -> None:
    rankings = {
        "one": {"a": 0.1, "b": 0.2, "c": 0.3},
        "same order": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0},
        "reversed": {"a": 0.3, "b": 0.2, "c": 0.1},
    }
    head, _ruler, *lines = script.kendall_table(rankings)
    assert head == "| | one | same order | reversed | best | methods |"
    assert lines == [
        "| one |  | 1.00 | -1.00 | c | 3 |",
        "| same order | 1.00 |  | -1.00 | d | 4 |",
        "| reversed | -1.00 | -1.00 |  | a | 3 |",
    ]


def test_a_method_beats_a_control_by_the_interval_of_the_difference(script: ModuleType) -> None:
    scores = {"above": [0.8] * 12, "about": [0.9] * 6 + [0.1] * 6, "below": [0.1] * 12, "gap": [0.8] * 11 + [None]}
    table = tabulate(scores, {"prediction": [0.5] * 12, "frangi": [0.0] * 12})
    head, _ruler, *lines = script.control_table(table, ["srg"], ["prediction", "frangi"])
    assert head == "| | prediction: srg | frangi: srg |"
    assert set(lines) == {"| above | + | + |", "| about | = | + |", "| below | − | + |", "| gap | – | – |"}
    with pytest.raises(ValueError, match="lacks one of srg, lift-thin"):
        script.control_table(table, ["srg", "lift-thin"], ["frangi"])


def test_the_columns_of_the_page_are_in_the_suite(script: ModuleType) -> None:
    assert set(script.FILLS) < set(map(str, chosen_metrics([], SUITES["standard"])))
