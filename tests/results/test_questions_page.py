"""Which method for which question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
from leaderboard.synthetic import records

from xaibench.leaderboard.aggregate import aggregate


@pytest.fixture
def questions(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("questions")


def test_a_question_is_answered_by_the_first_and_those_not_told_apart(questions: ModuleType) -> None:
    scores = {"first": [0.8] * 12, "alike": [0.9] * 5 + [0.7] * 7, "last": [0.1] * 12}
    controls = records({"prediction": [0.5] * 12, "prediction-of-target": [0.6] * 12}, control=True)
    table = aggregate([*records(scores), *controls])
    head, ruler, line = questions.questions([("Which?", table, "srg")])
    assert head.count("|") == ruler.count("|") == line.count("|")
    expected = ["Which?", "srg", "first", ".80 [.80, .80]", "alike", ".50", ".60"]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == expected
    few = aggregate(records({m: v[:3] for m, v in scores.items()}))
    assert "| too few images to tell |  |  |" in questions.questions([("Which?", few, "srg")])[2]
    with pytest.raises(ValueError, match="No method has lift-thin"):
        questions.questions([("Which?", table, "lift-thin")])


def test_who_does_not_pass_the_gate_is_marked(questions: ModuleType) -> None:
    scores = {"first": [0.8] * 12, "alike": [0.9] * 5 + [0.7] * 7, "last": [0.1] * 12}
    table = aggregate(records(scores))
    line = questions.questions([("Which?", table, "srg")], failing=["alike", "last"])[2]
    assert "| first |" in line and "| alike† |" in line
    assert "| first† |" in questions.questions([("Which?", table, "srg")], failing=["first"])[2]
    gate = aggregate(
        [replace(r, scores=[replace(s, gate=0.5, better="lower") for s in r.scores]) for r in records(scores)]
    )
    assert questions.gated(gate, "srg") == (
        {"last": pytest.approx(0.1)},
        {"alike": pytest.approx(0.783, abs=1e-3), "first": pytest.approx(0.8)},
    )
    with pytest.raises(ValueError, match="no gate srg"):
        questions.gated(table, "srg")
