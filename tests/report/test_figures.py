"""What is drawn is what was measured."""

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from leaderboard.synthetic import aggregate, record
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from report.made_up_run import NASTY, write_made_up_run
from xaibench.leaderboard.run_results import Result, read_results
from xaibench.report import figures
from xaibench.report.html.svg import drawn
from xaibench.report.label_placement import place_names
from xaibench.report.selection import CONTROLS


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return read_results([write_made_up_run(folder, targets=("vessels",), pictures=False, films=False)])[0]


def axes() -> Axes:
    return Figure().add_subplot()


def test_a_curve_is_the_mean_over_images(result: Result) -> None:
    ax = figures.curves(axes(), result, "deletion")
    line = next(x for x in ax.lines if x.get_label() == "fair")
    x = np.sin(np.pi * np.arange(11) / 20) ** 2
    each = [(1 - x) ** (1 + 9 * 0.6) + 0.01 * i * x * (1 - x) for i in range(7)]
    assert np.allclose(line.get_xdata(), x) and np.allclose(line.get_ydata(), np.mean(each, 0))
    (band,) = [c for c in ax.collections if same_color(c.get_facecolor()[0][:3], line.get_color())]
    top = max(y for x_, y in band.get_paths()[0].vertices if abs(x_ - x[5]) < 1e-9)
    assert top == pytest.approx(np.percentile([e[5] for e in each], 90))


def test_methods_have_looks_of_their_own_and_controls_are_grey(result: Result) -> None:
    look = figures.looks(result.board)
    methods = [r.method for r in result.board.rows if not r.control]
    assert len({(look[m].color, look[m].marker) for m in methods}) == len(methods)
    assert {look[c].color for c in ("random", "frangi")} == {figures.GREY}


def test_the_controls_of_every_figure_are_told_apart_whatever_others_there_are() -> None:
    names = ["frangi", "green-contrast", "prediction", "prediction-blurred", "random", "sobel", "uniform", "z"]
    board = aggregate([record(name, "1", {"srg": 0.5}, control=True) for name in names])
    look = figures.looks(board)
    assert len({str(look[c].linestyle) for c in CONTROLS}) == len(CONTROLS)


def test_where_no_method_has_both_thin_and_thick_another_pair_stands_or_none() -> None:
    scores = {"srg-thin": 0.5, "srg-thick": None, "auroc-thin": 0.5, "auroc-thick": 0.5}
    pair = figures.thin_and_thick(aggregate([record("a", "1", scores)]))
    assert pair is not None and [c.name for c in pair] == ["auroc-thin", "auroc-thick"]
    assert figures.thin_and_thick(aggregate([record("a", "1", {**scores, "auroc-thin": None})])) is None


def test_thin_against_thick_puts_each_method_at_its_means(result: Result) -> None:
    board = result.board
    pair = [board.column(n) for n in ("srg-thin", "srg-thick")]
    ax = figures.thin_against_thick(axes(), board, pair)
    thin, thick = map(board.mean, pair)
    points = {(float(x.get_xdata()[0]), float(x.get_ydata()[0])) for x in ax.lines if len(x.get_xdata()) == 1}
    assert points == {(float(a), float(b)) for a, b in zip(thin, thick, strict=True)}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("srg-thin", "srg-thick")
    assert ax.get_xlim() == ax.get_ylim()


def test_the_front_holds_who_is_not_beaten_at_the_same_cost(result: Result) -> None:
    """In the made-up run the better method is always the dearer one; controls are no part of it."""
    front = [result.board.rows[i].method for i in figures.pareto(result.board)]
    assert front == [NASTY, "fair", "good[layer=decoder-1/2]"]
    ax = figures.cost_against_faithfulness(axes(), result.board)
    assert ax.get_xscale() == "log"
    named = {t.get_text() for t in ax.texts}
    assert {NASTY, "fair", "prediction"} <= named


def test_bars_join_what_lies_within_the_critical_difference() -> None:
    assert figures._cliques(np.array([1.0, 1.5, 2.2, 4.0]), 1.0) == [[0, 1], [1, 2]]
    assert figures._cliques(np.array([1.0, 3.0]), 1.0) == []
    assert figures._cliques(np.array([1.0, 1.1, 1.2]), 1.0) == [[0, 1, 2]]


def test_the_diagram_names_each_ranked_method_with_its_mean_rank(result: Result) -> None:
    ax = figures.critical_difference(axes(), result.board)
    words = " ".join(t.get_text() for t in ax.texts)
    for row in result.board.rows:
        assert (f"{row.mean_rank:.2f}" in words and row.method in words) == (not row.control)


def test_the_agreement_matrix_is_symmetric_with_ones_on_its_diagonal(result: Result) -> None:
    columns = figures.agreeing(result.board)
    names = [c.name for c in columns]
    assert "sparseness" not in names and "contrast-response" not in names  # no better end
    ax = figures.agreement(axes(), result.board, columns)
    grid = np.asarray(ax.images[0].get_array())
    assert np.allclose(grid, grid.T) and np.allclose(np.diag(grid), 1)
    assert grid[names.index("srg[steps=10]"), names.index("srg-thin")] == pytest.approx(-1)
    assert grid[names.index("srg[steps=10]"), names.index("deletion[steps=10]")] == pytest.approx(1)


def placed(points: list[tuple[float, float, str]]) -> tuple[Axes, list[Bbox]]:
    """Axes with names beside points, and the boxes of the names, none of which may lie on another."""
    ax = axes()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    place_names(ax, points)
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == len(points)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    return ax, boxes


def test_names_beside_points_do_not_lie_on_each_other_where_there_is_room() -> None:
    ax, boxes = placed([(0.5, 0.5, "first of them"), (0.52, 0.5, "second of them"), (0.95, 0.5, "near the edge")])
    assert boxes[2].x1 <= ax.get_window_extent().x1


def test_a_crowd_of_names_keeps_apart_and_off_the_points() -> None:
    at = np.random.default_rng(0).normal(0.5, 0.06, (6, 2))
    ax, boxes = placed([(x, y, f"method-{i}") for i, (x, y) in enumerate(at)])
    points = ax.transData.transform(at)
    assert not any(box.contains(x, y) for box in boxes for x, y in points)


def test_a_drawing_is_well_formed_has_no_size_and_keeps_its_text(result: Result) -> None:
    text = drawn(lambda f: figures.curves(f.add_subplot(), result, "deletion").legend(), (4, 3), "one")
    root = ET.fromstring(text)
    assert "width" not in root.attrib and "viewBox" in root.attrib
    assert NASTY in {"".join(t.itertext()).strip() for t in root.iter("{http://www.w3.org/2000/svg}text")}
    assert all(i.startswith("one-") for i in (e.get("id") for e in root.iter()) if i)
    assert text == drawn(lambda f: figures.curves(f.add_subplot(), result, "deletion").legend(), (4, 3), "one")


def test_a_method_named_like_a_formula_is_drawn_as_it_is(tmp_path: Path) -> None:
    text = drawn(lambda f: f.add_subplot().set_title(r"a $\frac{ b $ c"), (2, 2), "x")
    assert r"a $\frac{ b $ c" in text
