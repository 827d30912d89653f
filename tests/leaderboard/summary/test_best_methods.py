"""Who is best, and is the lead real: on scores where the answer is known."""

import numpy as np
import pytest

from leaderboard.synthetic import leaderboards, records
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.summary import best_methods
from xaibench.leaderboard.summary.best_methods import answers, verdict
from xaibench.record import Record

N = 12
RISING = np.linspace(0, 0.05, N)


def boards(*groups: list[Record]) -> list[Leaderboard]:
    return leaderboards([r for group in groups for r in group])


def scores(level: float, images: int = N) -> list[float]:
    return (level + RISING[:images]).tolist()


def test_a_clear_lead_is_real_and_controls_are_beaten_or_not() -> None:
    found = boards(
        records({"a": scores(0.8), "b": scores(0.6), "c": scores(0.4)}),
        records({"frangi": scores(0.5), "prediction": scores(0.9)}, control=True),
    )
    (answer,) = answers(found)
    assert (answer.question, answer.best, answer.lead) == (best_methods.ALL, ("a",), best_methods.REAL)
    assert answer.next is not None and answer.next.method == "b" and answer.next.mean == pytest.approx(0.2)
    assert answer.next.p < 0.05
    assert {c.method: c.verdict for c in answer.controls} == {
        "frangi": best_methods.BETTER,
        "prediction": best_methods.WORSE,
    }
    said = " ".join(verdict([answer]))
    assert said.startswith("On the 12 images of drive, a explains this network best for all vessels.")
    assert "is real for all vessels (over b +.20" in said
    assert "beats a plain vessel filter (frangi, +.30" in said and "is worse than the network's own output" in said


def test_two_alike_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(0)
    base = 0.7 + 0.1 * rng.normal(size=N)
    pair = {"a": base + 0.1 * rng.normal(size=N), "b": base + 0.1 * rng.normal(size=N)}
    (answer,) = answers(boards(records({k: v.tolist() for k, v in pair.items()})))
    assert answer.lead == best_methods.UNTOLD and answer.next is not None and set(answer.alike) == {answer.next.method}
    first, *rest = verdict([answer])
    assert first.endswith(f"{answer.best[0]} ranks first for all vessels, but its lead could be chance.")
    assert f"Not told apart from the first: for all vessels {answer.next.method}." in rest
    assert answer.next.low < 0 < answer.next.high


def test_the_lead_agrees_with_the_letters_of_the_table() -> None:
    rng = np.random.default_rng(1)
    for spread in (0.02, 0.08, 0.3):
        table = {m: (level + spread * rng.normal(size=N)).tolist() for m, level in (("a", 0.7), ("b", 0.6), ("c", 0.5))}
        (board,) = boards(records(table))
        (answer,) = answers([board])
        first, second = board.rows[:2]
        assert answer.best == (first.method,) and answer.next is not None and answer.next.method == second.method
        assert (answer.lead == best_methods.REAL) == (not set(first.group) & set(second.group))


@pytest.mark.parametrize(("images", "words"), [(1, "One image says nothing about other images."), (4, "first look")])
def test_with_few_images_nothing_is_called_real(images: int, words: str) -> None:
    table = {"a": scores(0.8, images), "b": scores(0.2, images)}
    found = boards(records(table), records({"frangi": scores(0.1, images)}, control=True))
    (answer,) = answers(found)
    assert answer.lead == best_methods.FEW
    assert [c.verdict for c in answer.controls] == ([best_methods.FEW] if images == 1 else [best_methods.BETTER])
    said = " ".join(verdict([answer]))
    assert words in said and "can tell whether a lead over the next method is real" in said


def test_thin_and_thick_are_read_off_their_own_columns_then_off_their_own_maps_then_off_overlap() -> None:
    plain = records({"a": scores(0.8), "b": scores(0.6)})
    assert [a.question for a in answers(boards(plain))] == [best_methods.ALL]

    overlap = [
        *records({"a": scores(0.6), "b": scores(0.7)}, metric="auroc-thin"),
        *records({"a": scores(0.7), "b": scores(0.6)}, metric="auroc-thick"),
    ]
    found = answers(boards([*plain, *overlap]))
    assert [(a.question, a.best, a.column.name) for a in found] == [
        (best_methods.ALL, ("a",), "srg"),
        (best_methods.THIN, ("b",), "auroc-thin"),
        (best_methods.THICK, ("a",), "auroc-thick"),
    ]

    thin = records({"a": scores(0.9), "b": scores(0.3)}, target="thin")
    found = answers(boards([*plain, *overlap], thin))
    assert [(a.best, a.column.name, a.board.target) for a in found][1] == (("a",), "srg", "thin")

    own = records({"a": scores(0.3), "b": scores(0.4)}, metric="srg-thin")
    found = answers(boards([*plain, *overlap, *own], thin))
    assert [(a.best, a.column.name, a.board.target) for a in found][1] == (("b",), "srg-thin", "vessels")


def test_all_vessels_are_not_judged_by_a_column_about_some_of_them() -> None:
    thin = records({"a": scores(0.8), "b": scores(0.6)}, metric="auroc-thin")
    assert [a.question for a in answers(boards(thin))] == [best_methods.THIN]
    both = [*thin, *records({"a": scores(0.5), "b": scores(0.7)}, metric="auroc-vessels")]
    assert [(a.question, a.best) for a in answers(boards(both))] == [
        (best_methods.ALL, ("b",)),
        (best_methods.THIN, ("a",)),
    ]
    other = [*both, *records({"a": scores(0.9), "b": scores(0.7)}, metric="srg[fill=blur]")]
    assert answers(boards(other))[0].column.name == "srg[fill=blur]"


def test_what_lies_on_vessels_is_not_said_to_explain() -> None:
    table = {"a": scores(0.6), "b": scores(0.7)}
    lies = records(table, metric="auroc-thick", details={"auroc-thick": {"family": "overlap"}})
    said = verdict(answers(boards([*records({"a": scores(0.8), "b": scores(0.6)}), *lies])))[0]
    assert said.endswith(", a explains this network best for all vessels; b overlaps best with thick vessels.")


def test_ties_share_the_place_and_one_method_has_no_next() -> None:
    (answer,) = answers(boards(records({"a": scores(0.8), "b": scores(0.8), "c": scores(0.1)})))
    assert answer.best == ("a", "b") and answer.next is not None and answer.next.method == "c"
    assert "a and b explain this network best" in verdict([answer])[0]
    (alone,) = answers(boards(records({"a": scores(0.8)})))
    assert alone.lead == best_methods.ALONE and "No other method was run" in " ".join(verdict([alone]))


def test_a_method_with_a_gap_is_no_candidate_and_no_method_is_no_answer() -> None:
    gap: list[float | None] = [*scores(0.9)[:-1], None]
    (answer,) = answers(boards(records({"a": gap, "b": scores(0.5)})))
    assert answer.best == ("b",)
    assert answers(boards(records({"frangi": scores(0.5)}, control=True))) == []
    assert verdict([]) == ["No method of this run can be ranked."]
