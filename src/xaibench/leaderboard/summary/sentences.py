"""What a leaderboard shows, in plain words, and no more than it shows."""

from __future__ import annotations

import math

import numpy as np

from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics import rank_tests as statistics
from xaibench.leaderboard.statistics.bootstrap import interval
from xaibench.leaderboard.summary.best_methods import paired, signed
from xaibench.leaderboard.tables.numbers import listed, number, with_interval

# A method is held against these; that it beats the first is a matter of course, but the other two are hard to beat.
CONTROLS = ("random", "frangi", "prediction")
_VISIBLE = 0.005  # a difference on one image that a table shows


def summarise(board: Leaderboard) -> list[str]:
    """Sentences on the best method, then one paragraph per method, then what limits all of it.

    A method beats a control where the 95 % bootstrap interval of the paired difference over images lies above 0. With
    one image nothing is claimed beyond that image.

    Args:
        board: any leaderboard, also one with gaps.

    Returns:
        Strings without line breaks, in the order they are read.
    """
    lines = [_first(board)]
    lines += [_method(board, i) for i, r in enumerate(board.rows) if not r.control]
    lines += _limits(board)
    return [line for line in lines if line]


def _first(board: Leaderboard) -> str:
    if board.primary is None:
        return "No metric of this run has a better end, so no method is ranked."
    name = board.primary.name
    if all(r.control for r in board.rows):
        return "No method is ranked, since this run has only controls."
    ranked = [i for i, r in enumerate(board.rows) if r.rank is not None]
    if not ranked:
        return f"No method is ranked, since none has {name} on every image."
    best = [i for i in ranked if board.rows[i].rank == 1]
    names = listed([board.rows[i].method for i in best])
    level = _value(board, board.primary, best[0])
    if len(ranked) == 1:
        return f"{names} is the only ranked method, with {name} {level}{_where(board)}."
    if len(best) > 1:
        return f"{names} share the first place of {len(ranked)} methods on {name}{_where(board)}."
    text = f"{names} ranks first of {len(ranked)} methods on {name} ({level}){_where(board)}"
    if len(board.cases) == 1:
        return f"{text}."
    if not board.comparison.letters:
        return f"{text}; {board.comparison.reason}."
    top = board.rows[best[0]]
    near = [board.rows[i].method for i in ranked if i not in best and set(board.rows[i].group) & set(top.group)]
    if near:
        return f"{text}, but {listed(near)} cannot be told apart from it."
    return f"{text} and can be told apart from all others."


def _method(board: Leaderboard, i: int) -> str:
    parts = [_against_controls(board, i), _thin(board, i), _gap(board, i), _gates(board, i)]
    said = [p for p in parts if p]
    return f"{board.rows[i].method}: {'; '.join(said)}." if said else ""


def _against_controls(board: Leaderboard, i: int) -> str:
    column = board.primary
    if column is None:
        return ""
    gaps = board.gaps.get(board.rows[i].method)
    if gaps:
        case, reason = gaps[0]
        more = "" if len(gaps) == 1 else f", and {len(gaps) - 1} more"
        count = f"{len(gaps)} of {len(board.cases)} image{'s' * (len(board.cases) > 1)}"
        return f"unranked, since {column.name} is missing on {count} ({case}: {reason}{more})"
    scores = column.orient(board.scores(column))
    beaten: list[str] = []
    others: list[str] = []
    for name in CONTROLS:
        control = next((j for j, r in enumerate(board.rows) if r.control and r.method == name), None)
        if control is None or np.isnan(scores[control]).any():
            continue
        mean, low, high = paired(board, column, i, control)
        ahead = low > 0 if len(board.cases) > 1 else mean >= _VISIBLE
        (beaten if ahead else others).append(f"{name} ({signed(column, mean, low, high)})")
    # With one image "is above" is a reading, "beats" would be a claim.
    one = len(board.cases) == 1
    yes, no = ("is better than", "is not better than") if one else ("beats", "does not beat")
    said = ([f"{yes} {listed(beaten)}"] if beaten else []) + ([f"{no} {listed(others, 'or')}"] if others else [])
    return f"on {column.name} it {' but '.join(said)}" if said else ""


def _thin(board: Leaderboard, i: int) -> str:
    column = board.column("auroc-thin")
    if column is None or math.isnan(mean := float(board.mean(column)[i])):
        return ""
    # A map that is high at the disc or the rim has another chance than .5: its own is told by turned vessels.
    own = board.turned(column.name, i)
    measured = not np.isnan(own).any()
    chance = own if measured else np.full(len(board.cases), 0.5)
    low, high = (float(end[0]) for end in interval((board.scores(column)[i] - chance)[None], board.weights))
    if math.isnan(low):
        low, high = (mean - float(chance.mean()) + side for side in (-_VISIBLE, _VISIBLE))
    verdict = "above" if low > 0 else "below" if high < 0 else "not told from"
    level = f"{number(float(chance.mean()))}{', with vessels turned elsewhere' * measured}"
    return f"on thin vessels its AUROC is {_value(board, column, i)}, {verdict} chance ({level})"


def _gap(board: Leaderboard, i: int) -> str:
    column = board.column("thin-gap")
    if column is None or math.isnan(mean := float(board.mean(column)[i])):
        return ""
    low, high = (float(end[i]) for end in board.interval(column))
    if math.isnan(low):
        low, high = mean - _VISIBLE, mean + _VISIBLE
    if low <= 0 <= high:
        return f"it favours neither thin nor thick vessels (thin-gap {_value(board, column, i)})"
    kind = "thick" if mean > 0 else "thin"
    return f"it favours {kind} vessels {number(2 ** abs(mean))}-fold (thin-gap {_value(board, column, i)})"


def _gates(board: Leaderboard, i: int) -> str:
    means = {c: float(board.mean(c)[i]) for c in board.columns if c.gate is not None}
    failed = [c.name for c, mean in means.items() if math.isfinite(mean) and not c.passes(mean)]
    return f"it fails the gate{'s' * (len(failed) > 1)} {listed(failed)}" if failed else ""


def _limits(board: Leaderboard) -> list[str]:
    lines = []
    column = board.primary
    if column is not None:
        complete = ~np.isnan(board.scores(column)).any(1)
        present = {r.method for r, c in zip(board.rows, complete, strict=True) if r.control and c}
        absent = [c for c in CONTROLS if c not in present]
        if absent and any(not r.control for r in board.rows):
            lines.append(f"Not compared with {listed(absent)}: no complete {column.name} in this run.")
    if len(board.cases) == 1:
        lines.append("This is one image: it says nothing of other images, and no interval or test can be given.")
    elif len(board.cases) < statistics.FEWEST:
        lines.append(f"These are {len(board.cases)} images: too few for a test, and the intervals are rough.")
    return lines


def _value(board: Leaderboard, column: Column, i: int) -> str:
    low, high = board.interval(column)
    return with_interval(float(board.mean(column)[i]), float(low[i]), float(high[i]), bounded=column.bounded)


def _where(board: Leaderboard) -> str:
    images = "the one image" if len(board.cases) == 1 else f"the {len(board.cases)} images"
    return f" on {images} of {board.dataset} (target {board.target})"
