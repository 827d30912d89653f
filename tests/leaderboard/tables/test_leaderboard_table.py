"""What a leaderboard shows beside means: chance, gates, weak metrics, gaps."""

import math
from typing import Any

import numpy as np
import pytest

from leaderboard.synthetic import aggregate, by_column, csv_rows, markdown_rows, record, records
from xaibench.leaderboard.leaderboard import Column
from xaibench.leaderboard.tables.formats import to_text
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.leaderboard.tables.render import render
from xaibench.leaderboard.tables.sheet import Sheet
from xaibench.record import Record
from xaibench.vocabulary import TABLE_FORMATS as FORMATS


def turned(method: str, image: int, null: list[float], **changed: Any) -> Record:
    scores: dict[str, float | str | None] = {"srg": 0.5, "auroc-thin": 0.7, "mprt": 0.9 if method == "a_b" else 0.4}
    return record(method, f"{image:02d}", scores, {"auroc-thin": null}, **changed)


def with_chance() -> list[Record]:
    """Two methods and a control on two images, three turns of the masks each."""
    every = [turned("a_b", 1, [0.4, 0.5, 0.6]), turned("a_b", 2, [0.5, 0.5, 0.4])]
    every += [turned("c", 1, [0.5, 0.5, 0.5]), turned("c", 2, [0.5, 0.6, 0.5])]
    return every + [turned("frangi", i, [0.9, 0.9, 0.9], control=True) for i in (1, 2)]


def test_the_band_of_chance_is_that_of_methods_and_turns() -> None:
    board = aggregate(with_chance())
    column = board.column("auroc-thin")
    means = [0.45, 0.5, 0.5, 0.5, 0.55, 0.5]  # over images; of a_b, then of c
    assert board.chance(column) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert board.chance(board.columns[0]) is None
    alone = aggregate([r for r in with_chance() if r.control])
    assert alone.chance(column) == (0.9, 0.9)


def test_a_turn_that_an_image_lacks_is_not_part_of_the_band() -> None:
    every = [r for r in with_chance() if (r.spec, r.case) != ("c", "02")] + [turned("c", 2, [0.5])]
    board = aggregate(every)
    column = board.column("auroc-thin")
    assert board.chance(column) == pytest.approx(tuple(np.percentile([0.45, 0.5, 0.5, 0.5], [2.5, 97.5])))
    gap = aggregate([*with_chance(), record("a_b", "03", {"srg": 0.5}), turned("c", 3, [])])
    assert gap.chance(column) is None


def test_the_band_of_chance_is_the_last_line_of_each_format() -> None:
    board = aggregate(with_chance())
    lines = render([board]).splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("─")]
    assert len(rules) == 4 and rules[-1] == rules[-2] + 2
    assert lines[rules[-2] + 1].split() == ["chance", ".46–.54"] and "rotated and mirrored" in "".join(lines)
    assert markdown_rows(board)[-1] == ["", "*chance*", "", "*.46–.54*", "", "", ""]
    line = '<tr class="chance"><td></td><td class="word">chance</td><td></td><td>.46–.54</td>'
    assert line in render([board], "html")
    assert r" & chance &  & .46--.54 &  &  &  \\" in render([board], "latex")
    assert "chance" not in render([board], "csv") + render([board], "json")


def test_a_gate_is_passed_or_failed_and_ranks_nothing() -> None:
    board = aggregate(with_chance())
    assert board.primary is not None and board.primary.name == "srg"
    shown = {line.split()[1]: line.split() for line in render([board]).splitlines()[3:10] if " .50 " in line}
    assert "fail" in shown["a_b"] and "pass" in shown["c"]
    assert "mprt is a gate: a method passes with a mean of .5 or less." in render([board])
    for format in ("markdown", "html", "latex"):
        text = render([board], format)
        assert text.count("fail") == 1 and text.count("pass") - text.count("passes") == 2  # c and the control
    assert [line["mprt"] for line in csv_rows(render([board], "csv"))] == ["0.9", "0.4", "0.4"]
    only = aggregate(records({"a": [0.1, None], "b": [0.5, 0.5]}, "mprt"))
    assert only.primary is None and [r.rank for r in only.rows] == [None, None]
    assert [line.split()[:2] for line in render([only]).splitlines()[4:6]] == [["a", "–"], ["b", "pass"]]


@pytest.mark.parametrize(
    ("better", "gate", "passing", "failing", "said"),
    [
        ("higher", 0.5, [0.5, 0.9], [0.4, -1.0], "of .5 or more"),
        ("lower", 0.5, [0.5, -1.0], [0.6], "of .5 or less"),
        ("zero", 0.1, [0.1, -0.1, 0.0], [0.2, -0.2], "within ±.1"),
        ("higher", 12.0, [12.0], [11.9], "of 12 or more"),
    ],
)
def test_the_better_side_of_a_gate(
    better: str, gate: float, passing: list[float], failing: list[float], said: str
) -> None:
    column = Column("g", better, -math.inf, math.inf, "f", gate)
    assert all(map(column.passes, passing)) and not any(map(column.passes, failing))
    board = aggregate([record("a", "01", {"g": passing[0]}, details={"g": {"better": better, "gate": gate}})])
    assert f"g is a gate: a method passes with a mean {said}." in render([board])


def test_a_terminal_dims_weak_columns_if_asked() -> None:
    every = records({"random": [0.1] * 8, "vessels-oracle": [0.9] * 8}, control=True)
    every += records({"random": [0.5] * 8, "vessels-oracle": [0.5] * 8}, "deletion", control=True)
    board = aggregate(every)
    plain, faint = render([board]), render([board], faint=True)
    assert "\x1b" not in plain and faint.replace("\x1b[2m", "").replace("\x1b[0m", "") == plain
    assert faint.count("\x1b[2m") == 1 + len(board.rows) and "\x1b[2mdeletion\x1b[0m" in faint
    for format in FORMATS:
        assert "\x1b" not in render([board], format, faint=True) or format == "table"
    for format in ("table", "markdown", "latex"):
        assert "Does not tell random from vessels-oracle (Wilcoxon p" in render([board], format)
    assert '<th class="weak">deletion</th>' in render([board], "html")


def test_the_main_columns_stand_in_their_order() -> None:
    order = ["srg", "deletion", "insertion", "auroc-thin", "auroc-thick", "lift-thin", "lift-thick", "thin-gap"]
    order += ["thin-gap-matched", "srg-thin", "srg-thick", "fp-lift"]
    board = aggregate([record("a", "01", {**dict.fromkeys(reversed(order), 0.5), "sparseness": 0.1, "mprt": 0.4})])
    assert markdown_rows(board)[0][2:] == [*order, "mprt", "seconds", "passes"]


def test_the_agreement_between_fills_is_said_below() -> None:
    """Of the columns as suites name them, too: with fewer steps."""
    means = {"srg": [0.1, 0.2, 0.3], "srg[fill=blur,steps=10]": [0.2, 0.3, 0.4], "srg-thin[steps=10]": [0.3, 0.2, 0.1]}
    lines = render([aggregate(by_column(means))], "markdown").splitlines()
    (said,) = (line for line in lines if "Rank agreement" in line)
    assert said.endswith("(Kendall τ): srg and srg[fill=blur,steps=10] 1.00.")


@pytest.mark.parametrize(("seconds", "columns"), [(0.0, []), (1.0, ["seconds", "passes"])])
def test_costs_that_no_row_has_are_no_columns(seconds: float, columns: list[str]) -> None:
    board = aggregate([record(m, "01", {"srg": 0.5}, seconds=s) for m, s in (("a", 0.0), ("b", seconds))])
    assert markdown_rows(board)[0] == ["#", "method", "srg", *columns]


def test_names_and_paths_are_not_broken_where_notes_are_wrapped() -> None:
    path = "/a/" + "long-path/" * 20
    text = to_text(Sheet("t", ["method"], [["a"]], [f"integrated-gradients {path} " * 9]), width=60)
    assert text.count(path) == text.count("integrated-gradients") == 9 and text.count("\n") > 18


@pytest.mark.parametrize("format", FORMATS)
def test_gaps_everywhere(format: str) -> None:
    """A score that failed, one that was skipped, a map that failed, none at all, and nulls in some places only."""
    every = [*with_chance(), record("d", "01", {"srg": None, "auroc-thin": "skipped", "mprt": None})]
    every += [record("e", "01", {}, status="failed", reason="no"), record("random", "02", {}, control=True)]
    board = aggregate(every)
    assert board.skipped.sum() == 1
    for wide in (False, True):
        assert "a_b" in render([board], format, wide=wide).replace("\\", "")
        assert render_metrics([board], format)


def test_several_seeds_are_said() -> None:
    """Controls that have a score with one of two seeds have none in the table, which must not come out of the blue."""
    every = [record(m, "01", {"srg": 0.5}, seed=0) for m in ("a", "b")]
    assert "seeds" not in render([aggregate(every)])
    two = aggregate([*every, record("b", "01", {"auroc-thin": 0.5}, seed=1)])
    assert "up to 2 seeds" in render([two]) and [r.rank for r in two.rows] == [1, None]
