"""The best method for all, thin and thick vessels, and whether its lead is significant: as data and in sentences.

Methods differ as by the leaderboard's letters (Friedman, then Wilcoxon with Holm, α = .05). A method beats a control if
the 95 % bootstrap interval of the paired difference over images lies above 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics import bootstrap, rank_tests
from xaibench.leaderboard.tables.numbers import listed, probability, with_interval

ALL, THIN, THICK = "all vessels", "thin vessels", "thick vessels"
REAL, UNTOLD, FEW, ALONE = "real", "not told apart", "too few images", "no other method"
BETTER, WORSE = "better", "worse"
CONTROLS = {"frangi": "a plain vessel filter", "prediction": "the network's own output shown as a map"}
# Per question: the column of faithfulness that answers it, and the column of overlap if the run lacks the first.
_COLUMNS = {ALL: ("srg", "auroc-vessels"), THIN: ("srg-thin", "auroc-thin"), THICK: ("srg-thick", "auroc-thick")}
_MEANINGS = {
    "srg": "how much more the network loses if what the map marks first is removed first; 0 is chance",
    "auroc": "how well the map tells these vessels from the background; .5 is chance",
}


@dataclass(frozen=True)
class Difference:
    """A method, such as the best one, minus another method or control.

    Attributes:
        method: the other one.
        mean: over images, of the paired difference, higher is better; positive if the first method is better.
        low, high: its 95 % bootstrap interval, NaN with one image.
        verdict: for a method ``"real"``, ``"not told apart"`` or ``"too few images"``; for a control ``"better"``,
            ``"worse"``, ``"not told apart"`` or ``"too few images"`` (one image).
        text: the difference with its interval.
        p: after Holm; NaN if no test was made, and for a control.
    """

    method: str
    mean: float
    low: float
    high: float
    verdict: str
    text: str
    p: float = math.nan


@dataclass(frozen=True)
class Answer:
    """The best method on one question.

    Attributes:
        question: such as ``"all vessels"``.
        board: the leaderboard that answers it.
        column: the column that answers it.
        meaning: of that column; may be empty.
        best: by mean rank over images; several if they tie.
        value: the mean of the (first) best with its interval.
        next: the best of the others, None if there is none.
        alike: all other methods that do not differ significantly from the best; empty if no test was made.
        controls: differences from those of :data:`CONTROLS` that have the column on every image.
    """

    question: str
    board: Leaderboard
    column: Column
    meaning: str
    best: tuple[str, ...]
    value: str
    next: Difference | None
    alike: tuple[str, ...]
    controls: tuple[Difference, ...]

    @property
    def lead(self) -> str:
        """The verdict on the lead over the next method."""
        return ALONE if self.next is None else self.next.verdict

    @property
    def is_overlap(self) -> bool:
        """Whether the column measures where a map lies, instead of what the network uses."""
        return self.column.family == "overlap"


def difference(board: Leaderboard, column: Column, row: int, other: int) -> Difference:
    """A row minus another, paired over images, with the verdict of its interval; all NaN if a score is missing."""
    scores = column.orient(board.scores(column))
    paired = (scores[row] - scores[other])[None]
    mean = float(paired.mean())
    low, high = (float(end[0]) for end in bootstrap.interval(paired, board.weights))
    verdict = FEW if math.isnan(low) else BETTER if low > 0 else WORSE if high < 0 else UNTOLD
    text = f"{'+' * (mean > 0)}{with_interval(mean, low, high, bounded=column.bounded)}"
    return Difference(board.rows[other].method, mean, low, high, verdict, text)


def answers(boards: Sequence[Leaderboard]) -> list[Answer]:
    """The answers of the leaderboards of one dataset, split and model, in the order all, thin, thick.

    Args:
        boards: each of another target.
    """
    answered = []
    for question, columns in _COLUMNS.items():
        for board, column in _sources(boards, question, *columns):
            if best := answer(question, board, column):
                answered.append(best)
                break
    return answered


def _sources(
    boards: Sequence[Leaderboard], question: str, faithfulness: str, overlap: str
) -> list[tuple[Leaderboard, Column]]:
    """The leaderboards and columns that can answer a question, the best source first."""
    by_target = {b.target: b for b in boards}
    general = by_target.get("vessels") or boards[0]
    measured = {main_stem(c.name): c for c in reversed(general.columns)}
    sources: list[tuple[Leaderboard, Column | None]] = []
    if question == ALL:
        sources += [(general, general.primary)] if _is_general(general.primary) else []
        sources += [(general, c) for c in general.columns if c.name.startswith(f"{faithfulness}[")]
    else:
        own = by_target.get(question.partition(" ")[0])
        sources.append((general, measured.get(faithfulness)))
        sources += [(own, own.primary)] if own is not None and _is_general(own.primary) else []
    sources.append((general, measured.get(overlap)))
    return [(board, column) for board, column in sources if column is not None]


def _is_general(column: Column | None) -> bool:
    """Whether a column is about all vessels of a target, not about some of them."""
    return column is not None and not main_stem(column.name).endswith(("-thin", "-thick"))


def answer(question: str, board: Leaderboard, column: Column) -> Answer | None:
    """The best method on one column; None if no method has it on every image.

    Args:
        question: a heading for the answer.
        board: the leaderboard that has the column.
        column: any with a direction.
    """
    scores = column.orient(board.scores(column))
    entrants, ranks, tests = rank_tests.ranking(scores, board.is_method)
    if not entrants:
        return None
    letters = [set(text) for text in tests.letters or [""] * len(entrants)]
    row, tied = entrants[0], int((ranks < ranks[0] + 1e-9).sum())
    following = None
    if tied < len(entrants):
        verdict = FEW if tests.p is None else UNTOLD if letters[0] & letters[tied] else REAL
        p = float(tests.p[0, tied]) if tests.p is not None else math.nan
        following = replace(difference(board, column, row, entrants[tied]), verdict=verdict, p=p)
    alike = sorted(i for i, of_row in zip(entrants[tied:], letters[tied:], strict=True) if of_row & letters[0])
    controls = complete_controls(board, column)
    return Answer(
        question,
        board,
        column,
        meaning=_MEANINGS.get(main_stem(column.name).partition("[")[0].partition("-")[0], ""),
        best=tuple(board.rows[i].method for i in entrants[:tied]),
        value=value_text(board, column, row),
        next=following,
        alike=tuple(board.rows[i].method for i in alike),
        controls=tuple(difference(board, column, row, controls[name]) for name in CONTROLS if name in controls),
    )


def complete_controls(board: Leaderboard, column: Column) -> dict[str, int]:
    """The rows of the controls that have the column on every image, by name."""
    complete = ~np.isnan(board.scores(column)).any(1)
    return {r.method: i for i, r in enumerate(board.rows) if r.control and complete[i]}


def value_text(board: Leaderboard, column: Column, row: int) -> str:
    """The mean of a row with its interval."""
    low, high = board.interval(column)
    return with_interval(float(board.mean(column)[row]), float(low[row]), float(high[row]), bounded=column.bounded)


def verdict(answered: Sequence[Answer]) -> list[str]:
    """The answers in a few sentences; the first names the best methods."""
    if not answered:
        return ["No method of this run can be ranked."]
    return [s for s in (_best(answered), _lead(answered), _controls(answered[0]), _limits(answered)) if s]


def _best(answered: Sequence[Answer]) -> str:
    """The best methods if their lead is significant, else the first ones; faithfulness before overlap."""
    groups: dict[tuple[bool, str, tuple[str, ...]], list[str]] = {}
    for a in sorted(answered, key=lambda a: a.is_overlap):
        lead = REAL if a.lead == ALONE else a.lead
        groups.setdefault((a.is_overlap, lead, a.best), []).append(a.question.removesuffix(" vessels"))
    clauses = []
    for (overlap, lead, best), kinds in groups.items():
        s = "s" * (len(best) == 1)
        if lead == REAL:
            verb = f"overlap{s} best with" if overlap else f"explain{s} this network best for"
        else:
            verb = f"rank{s} first {'in overlap with' if overlap else 'for'}"
        chance = f", but {'its' if s else 'their'} lead could be chance" if lead == UNTOLD else ""
        clauses.append(f"{listed(best)} {verb} {listed(kinds)} vessels{chance}")
    return f"On {_images(answered)}, {'; '.join(clauses)}."


def _images(answered: Sequence[Answer]) -> str:
    images = len(answered[0].board.cases)
    return f"the {images} images of {answered[0].board.dataset}" if images > 1 else "the one image"


def _lead(answered: Sequence[Answer]) -> str:
    compared = [a for a in answered if a.next is not None]
    if not compared:
        return "No other method was run, so there is nothing to compare with."
    if all(a.lead == FEW for a in compared):
        return f"No test on {_images(answered)} can tell whether a lead over the next method is real."
    lines = []
    if leads := [f"{a.question} ({_over(a.next)})" for a in compared if a.lead == REAL and a.next]:
        lines.append(f"The lead over the next method is real for {listed(leads)}.")
    if alike := [f"for {a.question} {listed(a.alike)}" for a in compared if a.lead == UNTOLD]:
        lines.append(f"Not told apart from the first: {'; '.join(alike)}.")
    if untested := [a.question for a in compared if a.lead == FEW]:
        lines.append(f"The lead cannot be tested for {listed(untested)}.")
    return " ".join(lines)


def _over(other: Difference) -> str:
    p = probability(other.p)
    return f"over {other.method} {other.text}, p {p if p.startswith('<') else f'= {p}'}"


def _controls(first: Answer) -> str:
    """The best method against the controls."""
    clauses = []
    for kind, verb in (
        (BETTER, "beats"),
        (WORSE, "is worse than"),
        (UNTOLD, "cannot be told apart from"),
        (FEW, "was compared on a single image only with"),
    ):
        if of := [f"{CONTROLS[c.method]} ({c.method}, {c.text})" for c in first.controls if c.verdict == kind]:
            clauses.append(f"{verb} {listed(of)}")
    if not clauses:
        return "A comparison with a vessel filter or the network's own output is missing: no such control is complete."
    return f"For {first.question}, {first.best[0]} {' but '.join(clauses)}."


def _limits(answered: Sequence[Answer]) -> str:
    images = len(answered[0].board.cases)
    if images == 1:
        return "One image says nothing about other images."
    return "These are few images: take it as a first look." if images < rank_tests.FEWEST else ""
