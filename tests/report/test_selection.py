import math

import pytest
from leaderboard.synthetic import aggregate, record, records

from report.made_up_run import NASTY, NASTY_CASE, write_made_up_run
from xaibench.leaderboard.run_results import read_results
from xaibench.report.selection import chosen_cases, column_of, film_methods, shown_methods


@pytest.mark.parametrize(
    ("images", "wanted"),
    [
        (1, [(NASTY_CASE, "the only one")]),
        (2, [(NASTY_CASE, "best"), ("00", "worst")]),
        (3, [(NASTY_CASE, "best"), ("01", "median"), ("00", "worst")]),
        (4, [(NASTY_CASE, "best"), ("02", "median"), ("00", "worst")]),  # of two in the middle the better one
        (7, [(NASTY_CASE, "best"), ("03", "median"), ("00", "worst")]),
    ],
)
def test_best_median_and_worst_image(tmp_path, images: int, wanted: list[tuple[str, str]]) -> None:
    """Every method's scores rise by .002 from image to image, so their mean does, too."""
    (result,) = read_results([write_made_up_run(tmp_path / "run", images=images, targets=("vessels",), seed=3)])
    found = chosen_cases(result.board)
    assert [(c.case, c.title) for c in found] == wanted
    values = [c.value for c in found]
    assert values == sorted(values, reverse=True) and not any(map(math.isnan, values))


def test_images_that_lack_methods_are_not_compared() -> None:
    """Of a run that has not ended the last image has its best method alone, and is not the best image."""
    found = chosen_cases(aggregate(records({"a": [0.9, 0.8, 0.7, 1.0], "b": [0.1, 0.1, 0.1]})))
    assert [(c.case, c.title) for c in found] == [("01", "best"), ("02", "median"), ("03", "worst")]


def test_methods_come_in_the_order_of_the_table_and_then_the_controls(tmp_path) -> None:
    (result,) = read_results([write_made_up_run(tmp_path / "run", images=2, targets=("vessels",))])
    assert shown_methods(result.board) == ["good[layer=decoder-1/2]", "fair", NASTY, "prediction", "frangi", "random"]
    assert shown_methods(result.board, most=1, controls=("frangi", "absent")) == ["good[layer=decoder-1/2]", "frangi"]
    assert film_methods(result.board) == ["good[layer=decoder-1/2]", "fair", NASTY, "prediction"]


def test_a_column_with_other_parameters_is_better_than_none() -> None:
    board = aggregate([record("a", "1", {"deletion[fill=blur]": 0.5, "srg[fill=mean]": 0.5, "srg[steps=9]": 0.5})])
    assert column_of(board, "deletion").name == "deletion[fill=blur]"
    assert column_of(board, "srg").name == "srg[steps=9]"  # whatever its number of steps
    assert column_of(board, "sr") is column_of(board, "absent") is None
