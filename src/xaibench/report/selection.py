"""The images and methods that a report shows where it cannot show all, and the rules by which they are chosen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard

MOST = 5  # methods in a figure of curves, beside the controls below
CONTROLS = ("prediction", "frangi", "random")
FILM_METHODS, FILM_CONTROLS = 3, ("prediction",)

CASES_RULE = (
    "Best, median and worst image by the mean of {column} over methods without controls, among the images that most "
    "methods have it on; of two median images the better one."
)
METHODS_RULE = "The first {most} methods of the table, and the controls " + ", ".join(CONTROLS) + "."
FILMS_RULE = "The first {most} methods of the table, and the control " + ", ".join(FILM_CONTROLS) + "."


@dataclass(frozen=True)
class Chosen:
    """An image of the report.

    Attributes:
        case: its id.
        title: ``"best"``, ``"median"``, ``"worst"`` or ``"the only one"``; empty if no column ranks.
        value: the mean over methods by which it was chosen; NaN if no column ranks.
    """

    case: str
    title: str
    value: float


def chosen_cases(board: Leaderboard) -> list[Chosen]:
    """Best, median and worst image, see :data:`CASES_RULE`; fewer if there are fewer images."""
    if board.primary is None:
        return [Chosen(case, "", math.nan) for case in board.cases[: len(_titles(len(board.cases)))]]
    scores = board.scores(board.primary)
    scores = scores[board.is_method] if board.is_method.any() else scores
    there = np.isfinite(scores)
    counts = there.sum(0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN for an image without any score, as intended
        mean = np.where(there, scores, 0).sum(0) / counts
    order = np.argsort(-np.nan_to_num(board.primary.orient(mean), nan=-np.inf), kind="stable")
    # Means over different methods are not comparable: in an unfinished run, only the most complete images compete.
    order = order[counts[order] == counts.max()].tolist()
    places = list(dict.fromkeys([order[0], order[(len(order) - 1) // 2], order[-1]]))
    return [Chosen(board.cases[i], title, float(mean[i])) for i, title in zip(places, _titles(len(order)), strict=True)]


def _titles(images: int) -> tuple[str, ...]:
    return {1: ("the only one",), 2: ("best", "worst")}.get(images, ("best", "median", "worst"))


def shown_methods(board: Leaderboard, most: int = MOST, controls: Sequence[str] = CONTROLS) -> list[str]:
    """The first methods of the table, then the controls that the run has, in the given order."""
    methods = [r.method for r in board.rows if not r.control][:most]
    there = {r.method for r in board.rows if r.control}
    return [*methods, *(c for c in controls if c in there)]


def film_methods(board: Leaderboard) -> list[str]:
    """The methods and controls with removal frames, see :data:`FILMS_RULE`."""
    return shown_methods(board, FILM_METHODS, FILM_CONTROLS)


def column_of(board: Leaderboard, stem: str) -> Column | None:
    """The column of a metric; None if it was not measured.

    A column with default parameters (but for the number of steps) is preferred to one with other parameters.
    """
    variants = [c for c in board.columns if main_stem(c.name) == stem or c.name.startswith(f"{stem}[")]
    return min(variants, key=lambda c: main_stem(c.name) != stem, default=None)
