"""Which method is best for all, thin and thick vessels, and is the difference real: in words, for who reads no tables.

Methods are told apart as the leaderboard's letters do it (Friedman, then Wilcoxon with Holm, α = .05), a control is
beaten where the 95 % bootstrap interval of the paired difference over images lies above 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaibench.leaderboard.gather import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics import bootstrap
from xaibench.leaderboard.statistics import rank_tests as statistics
from xaibench.leaderboard.tables.numbers import listed, probability, with_interval

ALL, THIN, THICK = "all vessels", "thin vessels", "thick vessels"
REAL, UNTOLD, FEW, ALONE = "real", "not told apart", "too few images", "no other method"
BETTER, WORSE = "better", "worse"
CONTROLS = {"frangi": "a plain vessel filter", "prediction": "the network's own output shown as a map"}
# Per question the columns that answer it, the first that was measured: what maps of it show, and where they lie.
_COLUMNS = {ALL: ("srg", "auroc-vessels"), THIN: ("srg-thin", "auroc-thin"), THICK: ("srg-thick", "auroc-thick")}
_MEANS = {
    "srg": "how much more the network loses if what the map marks first is removed first; 0 is chance",
    "auroc": "how well the map tells these vessels from the background; .5 is chance",
}


@dataclass(frozen=True)
class Against:
    """The best method against another one.

    Attributes:
        method: the other one.
        difference: mean over images of the paired difference, the better end up.
        low, high: its 95 % bootstrap interval, NaN with one image.
        verdict: of a method ``"real"``, ``"not told apart"`` or ``"too few images"``; of a control ``"better"``,
            ``"worse"``, ``"not told apart"`` or ``"too few images"`` (one image).
        p: after Holm, NaN where no test was made, and for a control.
        shown: the difference with its interval.
    """

    method: str
    difference: float
    low: float
    high: float
    verdict: str
    p: float
    shown: str


@dataclass(frozen=True)
class Answer:
    """The best method on one question.

    Attributes:
        question: such as ``"all vessels"``.
        board: the leaderboard it was read off.
        column: the column it was read off.
        means: what that measures, in words; may be empty.
        best: by mean rank over images; several where they tie.
        value: the mean of the (first) best with its interval.
        next: the best of the others, None if there is none.
        alike: all methods that cannot be told apart from the best; empty where no test was made.
        controls: against those of :data:`CONTROLS` that have the column on every image.
    """

    question: str
    board: Leaderboard
    column: Column
    means: str
    best: tuple[str, ...]
    value: str
    next: Against | None
    alike: tuple[str, ...]
    controls: tuple[Against, ...]

    @property
    def told(self) -> str:
        """Whether the lead is real: the verdict against the next method."""
        return ALONE if self.next is None else self.next.verdict

    @property
    def overlaps(self) -> bool:
        """Whether it says where a map lies, not what the network uses."""
        return self.column.family == "overlap"


def paired(board: Leaderboard, column: Column, i: int, j: int) -> tuple[float, float, float]:
    """Mean over images of row i less row j, the better end up, and the ends of its 95 % bootstrap interval.

    NaN where either lacks a score, and the ends also with one image.
    """
    scores = column.orient(board.scores(column))
    difference = (scores[i] - scores[j])[None]
    low, high = bootstrap.interval(difference, board.weights)
    return float(difference.mean()), float(low[0]), float(high[0])


def signed(column: Column, difference: float, low: float, high: float) -> str:
    """A difference with its interval: ``+.12 [.03, .20]``.

    Example:
        >>> signed(Column("srg", "higher", -1, 1, "f"), 0.12, 0.03, 0.2)
        '+.12 [.03, .20]'
    """
    return f"{'+' * (difference > 0)}{with_interval(difference, low, high, bounded=column.bounded)}"


def answers(boards: Sequence[Leaderboard]) -> list[Answer]:
    """The answers that leaderboards of one dataset, split and model give, in the order all, thin, thick.

    Args:
        boards: each of another target, that of ``vessels`` first where there is one.
    """
    found = []
    for question, names in _COLUMNS.items():
        first = next((a for b, c in _sources(boards, question, names) if (a := answer(question, b, c))), None)
        if first is not None:
            found.append(first)
    return found


def _sources(boards: Sequence[Leaderboard], question: str, names: tuple[str, str]) -> list[tuple[Leaderboard, Column]]:
    """Where an answer could be read off, the best source first."""
    by_target = {b.target: b for b in boards}
    general = by_target.get("vessels") or boards[0]
    measured = {main_stem(c.name): c for c in reversed(general.columns)}
    faithful, overlap = names
    if question == ALL:
        found = [(general, general.primary)] if _is_general(general.primary) else []
        variants = [c for c in general.columns if c.name.startswith(f"{faithful}[")]
        found += [(general, c) for c in variants]
    else:
        own = by_target.get(question.partition(" ")[0])
        found = [(general, measured[faithful])] if faithful in measured else []
        found += [(own, own.primary)] if own is not None and _is_general(own.primary) else []
    found += [(general, measured[overlap])] if overlap in measured else []
    return [(board, column) for board, column in found if column is not None]


def _is_general(column: Column | None) -> bool:
    """Whether a column is about all vessels of a target, not about some of them."""
    return column is not None and not main_stem(column.name).endswith(("-thin", "-thick"))


def answer(question: str, board: Leaderboard, column: Column) -> Answer | None:
    """What one column answers; None where no method has it on every image.

    Args:
        question: kept in the answer.
        board: the leaderboard that has the column.
        column: any that has a better end.
    """
    scores = column.orient(board.scores(column))
    complete = ~np.isnan(scores).any(1)
    entrants = [i for i, r in enumerate(board.rows) if complete[i] and not r.control]
    if not entrants:
        return None
    ranks = statistics.ranks(scores[entrants]).mean(1)
    tests = statistics.compare(scores[entrants])
    top = [k for k in range(len(entrants)) if ranks[k] < ranks.min() + 1e-9]
    others = [k for k in range(len(entrants)) if k not in top]
    i = entrants[top[0]]
    rival = min(others, key=lambda k: float(ranks[k]), default=None)
    letters = tests.letters
    alike = [k for k in others if letters and set(letters[k]) & set(letters[top[0]])]
    low, high = (float(end[i]) for end in board.interval(column))
    mean = float(board.mean(column)[i])
    return Answer(
        question,
        board,
        column,
        _MEANS.get(main_stem(column.name).partition("[")[0].partition("-")[0], ""),
        tuple(board.rows[entrants[k]].method for k in top),
        with_interval(mean, low, high, bounded=column.bounded),
        None if rival is None else _against_method(board, column, entrants, tests, top[0], rival),
        tuple(board.rows[entrants[k]].method for k in alike),
        tuple(
            _against_control(board, column, i, j)
            for name in CONTROLS
            for j, r in enumerate(board.rows)
            if r.control and r.method == name and complete[j]
        ),
    )


def _against_method(
    board: Leaderboard, column: Column, entrants: list[int], tests: statistics.Comparison, best: int, rival: int
) -> Against:
    difference = paired(board, column, entrants[best], entrants[rival])
    verdict, p = FEW, math.nan
    if tests.letters and tests.p is not None:
        verdict = UNTOLD if set(tests.letters[best]) & set(tests.letters[rival]) else REAL
        p = float(tests.p[best, rival])
    return Against(board.rows[entrants[rival]].method, *difference, verdict, p, signed(column, *difference))


def _against_control(board: Leaderboard, column: Column, i: int, j: int) -> Against:
    mean, low, high = paired(board, column, i, j)
    verdict = FEW if math.isnan(low) else BETTER if low > 0 else WORSE if high < 0 else UNTOLD
    return Against(board.rows[j].method, mean, low, high, verdict, math.nan, signed(column, mean, low, high))


def verdict(found: Sequence[Answer]) -> list[str]:
    """The answers in a few sentences, the first of which names the best methods."""
    if not found:
        return ["No method of this run can be ranked."]
    return [s for s in (_best(found), _lead(found), _controls(found), _limits(found)) if s]


def _best(found: Sequence[Answer]) -> str:
    """Who is best where the lead is real, else who is only first; faithfulness before mere overlap, another thing."""
    groups: dict[tuple[bool, str, tuple[str, ...]], list[str]] = {}
    for a in sorted(found, key=lambda a: a.overlaps):
        told = REAL if a.told == ALONE else a.told
        groups.setdefault((a.overlaps, told, a.best), []).append(a.question.removesuffix(" vessels"))
    said: list[str] = []
    for (overlaps, told, best), kinds in groups.items():
        one = len(best) == 1
        if told == REAL:
            verb = ("lies best" if one else "lie best") if overlaps else f"explain{'s' * one} this network best"
        else:
            verb = f"rank{'s' * one} first{' at lying' * overlaps}"
        chance = f", but {'its' if one else 'their'} lead could be chance" if told == UNTOLD else ""
        said.append(f"{listed(list(best))} {verb} {'on' if overlaps else 'for'} {listed(kinds)} vessels{chance}")
    return f"On {_images(found)}, {'; '.join(said)}."


def _images(found: Sequence[Answer]) -> str:
    images = len(found[0].board.cases)
    return f"the {images} images of {found[0].board.dataset}" if images > 1 else "the one image"


def _lead(found: Sequence[Answer]) -> str:
    rivals = [a for a in found if a.next is not None]
    if not rivals:
        return "No other method was run, so there is nothing to be better than."
    if all(a.told == FEW for a in rivals):
        return f"No test on {_images(found)} can tell whether a lead over the next method is real."
    lines = []
    if of := [f"{a.question.removesuffix(' vessels')} vessels ({_over(a)})" for a in rivals if a.told == REAL]:
        lines.append(f"The lead over the next method is real for {listed(of)}.")
    if of := [f"for {a.question} {listed(list(a.alike))}" for a in rivals if a.told == UNTOLD]:
        lines.append(f"Not told apart from the first: {'; '.join(of)}.")
    if of := [a.question for a in rivals if a.told == FEW]:
        lines.append(f"The lead cannot be tested for {listed(of)}.")
    return " ".join(lines)


def _over(a: Answer) -> str:
    assert a.next is not None
    p = "" if math.isnan(a.next.p) else f", p {p if (p := probability(a.next.p))[0] == '<' else '= ' + p}"
    return f"over {a.next.method} {a.next.shown}{p}"


def _controls(found: Sequence[Answer]) -> str:
    """The first answer's best method against the controls."""
    a = found[0]
    parts = []
    for kind, words in (
        (BETTER, "beats"),
        (WORSE, "falls short of"),
        (UNTOLD, "cannot be told apart from"),
        (FEW, "was compared on a single image only with"),
    ):
        of = [c for c in a.controls if c.verdict == kind]
        if of:
            parts.append(f"{words} {listed([f'{CONTROLS[c.method]} ({c.method}, {c.shown})' for c in of])}")
    if not parts:
        return "It was not compared with a vessel filter or the network's own output: these controls are not complete."
    return f"For {a.question}, {a.best[0]} {' but '.join(parts)}."


def _limits(found: Sequence[Answer]) -> str:
    images = len(found[0].board.cases)
    if images == 1:
        return "One image says nothing of other images."
    return "These are few images: take it as a first look." if images < statistics.FEWEST else ""
