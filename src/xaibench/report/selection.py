"""What of a run a report shows where it cannot show all of it, by rules that it states."""

from __future__ import annotations

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
    "Best, median and worst image by the mean over methods, controls aside, of {column}, among the images of which "
    "most methods have it; of two in the middle the better one."
)
METHODS_RULE = "The first {most} methods of the table, and the controls " + ", ".join(CONTROLS) + "."
FILMS_RULE = "The first {most} methods of the table, and the control " + ", ".join(FILM_CONTROLS) + "."


@dataclass(frozen=True)
class Chosen:
    """An image that is shown.

    Attributes:
        case: its id.
        title: ``"best"``, ``"median"`` or ``"worst"``.
        value: the mean over methods by which it was chosen; NaN where nothing could be compared.
    """

    case: str
    title: str
    value: float


def chosen_cases(board: Leaderboard) -> list[Chosen]:
    """Best, median and worst image, see :data:`CASES_RULE`; fewer if there are fewer images."""
    if board.primary is None:
        return [Chosen(case, "", math.nan) for case in board.cases[: len(_titles(len(board.cases)))]]
    methods = np.array([not r.control for r in board.rows], bool)
    scores = board.scores(board.primary)
    scores = scores[methods] if methods.any() else scores
    there = np.isfinite(scores)
    counts = there.sum(0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no method has a score is the NaN that is meant
        mean = np.where(there, scores, 0).sum(0) / counts
    order = np.argsort(-np.nan_to_num(board.primary.orient(mean), nan=-np.inf), kind="stable")
    # Means over other methods do not compare: of a run that has not ended, the images that have all of them.
    order = order[counts[order] == counts.max()].tolist()
    places = list(dict.fromkeys([order[0], order[(len(order) - 1) // 2], order[-1]]))
    return [Chosen(board.cases[i], title, float(mean[i])) for i, title in zip(places, _titles(len(order)), strict=True)]


def _titles(images: int) -> tuple[str, ...]:
    return {1: ("the only one",), 2: ("best", "worst")}.get(images, ("best", "median", "worst"))


def shown_methods(board: Leaderboard, most: int = MOST, controls: Sequence[str] = CONTROLS) -> list[str]:
    """The first rows of the table that are methods, then these controls in their order."""
    methods = [r.method for r in board.rows if not r.control][:most]
    there = {r.method for r in board.rows if r.control}
    return [*methods, *(c for c in controls if c in there)]


def film_methods(board: Leaderboard) -> list[str]:
    """Whose films are shown, see :data:`FILMS_RULE`."""
    return shown_methods(board, FILM_METHODS, FILM_CONTROLS)


def column_of(board: Leaderboard, *stems: str) -> Column | None:
    """The first of these columns that was measured, whatever its number of steps; else one with other parameters."""
    for stem in stems:
        variants = [c for c in board.columns if main_stem(c.name) == stem or c.name.startswith(f"{stem}[")]
        if variants:
            return min(variants, key=lambda c: main_stem(c.name) != stem)
    return None
