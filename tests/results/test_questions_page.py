"""``questions.md``: the best method for each question."""

from types import ModuleType

import pytest
from leaderboard.synthetic import aggregate, records, tabulate

SCRIPT = "questions"
SCORES = {"first": [0.8] * 12, "alike": [0.9] * 5 + [0.7] * 7, "last": [0.1] * 12}


def test_a_question_is_answered_by_the_best_and_those_tied_with_it(script: ModuleType) -> None:
    table = tabulate(SCORES, {"prediction": [0.5] * 12, "prediction-of-target": [0.6] * 12})
    head, ruler, line = script.question_table([("Which?", table, "srg")])
    assert head.count("|") == ruler.count("|") == line.count("|")
    assert line == "| Which? | srg | first | .80 [.80, .80] | alike | .50 | .60 |"
    few = tabulate({m: v[:3] for m, v in SCORES.items()})
    assert "| too few images to test |  |  |" in script.question_table([("Which?", few, "srg")])[2]
    with pytest.raises(ValueError, match="No method has lift-thin"):
        script.question_table([("Which?", table, "lift-thin")])


def test_methods_that_fail_the_gate_are_marked(script: ModuleType) -> None:
    asked = [("Which?", tabulate(SCORES), "srg")]
    assert "| first | .80 [.80, .80] | alike† |" in script.question_table(asked, failing=["alike", "last"])[2]
    assert "| first† |" in script.question_table(asked, failing=["first"])[2]


def test_methods_are_split_by_the_gate(script: ModuleType) -> None:
    gate = records(SCORES, details={"srg": {"gate": 0.5, "better": "lower"}})
    passing, failing = script.split_by_gate(aggregate(gate), "srg")
    assert passing == {"last": pytest.approx(0.1)}
    assert failing == {"alike": pytest.approx(0.783, abs=1e-3), "first": pytest.approx(0.8)}
    with pytest.raises(ValueError, match="no gate srg"):
        script.split_by_gate(tabulate(SCORES), "srg")
