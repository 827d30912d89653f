"""The pages beside the published tables say what the tables say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
from leaderboard.synthetic import records
from made_up import draw_eye

from xaibench.leaderboard import aggregate
from xaibench.run.plan import SUITES, chosen_metrics


@pytest.fixture
def pages(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("pages")


def test_agreement_is_over_the_methods_that_both_have(pages: ModuleType) -> None:
    rankings = {
        "one": {"a": 0.1, "b": 0.2, "c": 0.3},
        "same order": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 9.0},
        "reversed": {"a": 0.3, "b": 0.2, "c": 0.1},
    }
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pages.agreement(rankings)]
    assert cells[0] == ["", "one", "same order", "reversed", "best", "methods"]
    assert cells[2] == ["one", "", "1.00", "-1.00", "c", "3"]
    assert cells[3] == ["same order", "1.00", "", "-1.00", "d", "4"]
    assert cells[4] == ["reversed", "-1.00", "-1.00", "", "a", "3"]


def test_what_beats_a_control_is_told_by_the_interval_of_the_difference(pages: ModuleType) -> None:
    scores = {"above": [0.8] * 12, "about": [0.9] * 6 + [0.1] * 6, "below": [0.1] * 12}
    table = aggregate([*records(scores), *records({"prediction": [0.5] * 12, "frangi": [0.0] * 12}, control=True)])
    head, _ruler, *lines = pages.beaten(table, ["srg"], ["prediction", "frangi"])
    assert head == "| | prediction: srg | frangi: srg |"
    assert set(lines) == {"| above | + | + |", "| about | = | + |", "| below | − | + |"}
    gap = aggregate([*records({"gap": [0.8] * 11 + [None]}), *records({"frangi": [0.0] * 12}, control=True)])
    assert pages.beaten(gap, ["srg"], ["frangi"])[2:] == ["| gap | – |"]
    with pytest.raises(ValueError, match="lacks one of srg, lift-thin"):
        pages.beaten(table, ["srg", "lift-thin"], ["frangi"])


def test_the_columns_of_the_pages_are_those_of_the_suite(pages: ModuleType) -> None:
    wanted = set(map(str, chosen_metrics([], SUITES["standard"])))
    assert set(pages.FILLS) < wanted


def test_a_question_is_answered_by_the_first_and_those_not_told_apart(pages: ModuleType) -> None:
    scores = {"first": [0.8] * 12, "alike": [0.9] * 5 + [0.7] * 7, "last": [0.1] * 12}
    controls = records({"prediction": [0.5] * 12, "prediction-of-target": [0.6] * 12}, control=True)
    table = aggregate([*records(scores), *controls])
    head, ruler, line = pages.questions([("Which?", table, "srg")])
    assert head.count("|") == ruler.count("|") == line.count("|")
    expected = ["Which?", "srg", "first", ".80 [.80, .80]", "alike", ".50", ".60"]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == expected
    few = aggregate(records({m: v[:3] for m, v in scores.items()}))
    assert "| too few images to tell |  |  |" in pages.questions([("Which?", few, "srg")])[2]
    with pytest.raises(ValueError, match="No method has lift-thin"):
        pages.questions([("Which?", table, "lift-thin")])


def test_who_does_not_pass_the_gate_is_marked(pages: ModuleType) -> None:
    scores = {"first": [0.8] * 12, "alike": [0.9] * 5 + [0.7] * 7, "last": [0.1] * 12}
    table = aggregate(records(scores))
    line = pages.questions([("Which?", table, "srg")], failing=["alike", "last"])[2]
    assert "| first |" in line and "| alike† |" in line
    assert "| first† |" in pages.questions([("Which?", table, "srg")], failing=["first"])[2]
    gate = aggregate(
        [replace(r, scores=[replace(s, gate=0.5, better="lower") for s in r.scores]) for r in records(scores)]
    )
    assert pages.gated(gate, "srg") == (
        {"last": pytest.approx(0.1)},
        {"alike": pytest.approx(0.783, abs=1e-3), "first": pytest.approx(0.8)},
    )
    with pytest.raises(ValueError, match="no gate srg"):
        pages.gated(table, "srg")


def test_means_are_of_methods_with_all_scores(pages: ModuleType) -> None:
    scores = {"one": [0.2, 0.4], "gap": [0.2, None]}
    table = aggregate([*records(scores), *records({"random": [0.1, 0.1]}, control=True)])
    assert pages.means(table, "srg") == {"one": pytest.approx(0.3)}


def test_the_second_observer_is_scored_like_a_network(pages: ModuleType) -> None:
    cases = [draw_eye(), draw_eye(image_seed=1, id="other")]
    assert all(case.observer2 is not None for case in cases)
    found = pages.evaluate(pages._second(cases), cases)
    inside = [(case.observer2 & case.fov, case.vessels & case.fov) for case in cases]
    hits = sum(int((a & b).sum()) for a, b in inside)
    both = sum(int(a.sum() + b.sum()) for a, b in inside)
    assert found.pooled["f1"] == pytest.approx(2 * hits / both)
    row = [cell.strip() for cell in pages._row(pages.OBSERVER, found).split("|")[1:-1]]
    assert len(row) == len(pages.FIGURES) + 2 and row[1:3] == ["–", "–"] and row[3] == f"{found.pooled['f1']:.4f}"
