"""A leaderboard in sentences, which claim no more than its numbers show."""

import math

import numpy as np

from xaibench.errors import plural
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics import bootstrap, rank_tests
from xaibench.leaderboard.summary.best_methods import answer, complete_controls, difference, value_text
from xaibench.leaderboard.tables.numbers import listed, number

# Every method is compared with these. To beat the first is expected; the other two are hard to beat.
CONTROLS = ("random", "frangi", "prediction")
_VISIBLE = 0.005  # the least difference on one image that a table shows


def summarise(board: Leaderboard) -> list[str]:
    """Sentences on the best method, then one paragraph per method, then the limits of the run.

    A method beats a control if the 95 % bootstrap interval of the paired difference over images lies above 0. With one
    image the sentences describe that image and claim nothing about others.

    Args:
        board: any leaderboard; scores may be missing.

    Returns:
        Strings without line breaks, in reading order.
    """
    methods = [_method(board, i) for i, r in enumerate(board.rows) if not r.control]
    return [line for line in (_first(board), *methods, *_limits(board)) if line]


def _first(board: Leaderboard) -> str:
    """The method that ranks first."""
    if board.primary is None:
        return "No metric of this run has a direction, so no method is ranked."
    name = board.primary.name
    if not board.is_method.any():
        return "No method is ranked, since this run has only controls."
    first = answer("", board, board.primary)
    if first is None:
        return f"No method is ranked, since none has {name} on every image."
    ranked = sum(r.rank is not None for r in board.rows)
    names = listed(first.best)
    images = "the one image" if len(board.cases) == 1 else f"the {len(board.cases)} images"
    where = f"on {images} of {board.dataset} (target {board.target})"
    if ranked == 1:
        return f"{names} is the only ranked method, with {name} {first.value} {where}."
    if len(first.best) > 1:
        return f"{names} share the first place of {ranked} methods on {name} {where}."
    text = f"{names} ranks first of {ranked} methods on {name} ({first.value}) {where}"
    if len(board.cases) == 1:
        return f"{text}."
    if not board.comparison.letters:
        return f"{text}; {board.comparison.reason}."
    if first.alike:
        return f"{text}, but {listed(first.alike)} cannot be told apart from it."
    return f"{text} and can be told apart from all others."


def _method(board: Leaderboard, i: int) -> str:
    clauses = [c for c in (_against_controls(board, i), _thin(board, i), _gap(board, i), _gates(board, i)) if c]
    return f"{board.rows[i].method}: {'; '.join(clauses)}." if clauses else ""


def _against_controls(board: Leaderboard, i: int) -> str:
    column = board.primary
    if column is None:
        return ""
    images = len(board.cases)
    if gaps := board.gaps.get(board.rows[i].method):
        case, reason = gaps[0]
        more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        count = f"{len(gaps)} of {plural(images, 'image')}"
        return f"unranked, since {column.name} is missing on {count} ({case}: {reason}{more})"
    beaten: list[str] = []
    others: list[str] = []
    complete = complete_controls(board, column)
    for name in (name for name in CONTROLS if name in complete):
        lead = difference(board, column, i, complete[name])
        ahead = lead.low > 0 if images > 1 else lead.mean >= _VISIBLE
        (beaten if ahead else others).append(f"{name} ({lead.text})")
    # On one image "is better than" describes the image; "beats" would be a claim about others.
    yes, no = ("beats", "does not beat") if images > 1 else ("is better than", "is not better than")
    clauses = ([f"{yes} {listed(beaten)}"] if beaten else []) + ([f"{no} {listed(others, 'or')}"] if others else [])
    return f"on {column.name} it {' but '.join(clauses)}" if clauses else ""


def _interval(board: Leaderboard, values: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the mean of (cases,) values; of one image, the value ± what a table shows."""
    low, high = (float(end[0]) for end in bootstrap.interval(values[None], board.weights))
    return (values[0] - _VISIBLE, values[0] + _VISIBLE) if len(values) == 1 else (low, high)


def _thin(board: Leaderboard, i: int) -> str:
    column = board.column("auroc-thin")
    if column is None or math.isnan(board.mean(column)[i]):
        return ""
    # A map that is high at the disc or the rim has a chance level other than .5: that of turned vessels.
    turned = board.turned(column.name, i)
    measured = not np.isnan(turned).any()
    chance = turned if measured else np.full(len(board.cases), 0.5)
    low, high = _interval(board, board.scores(column)[i] - chance)
    verdict = "above" if low > 0 else "below" if high < 0 else "not told from"
    level = f"{number(float(chance.mean()))}{', with vessels turned elsewhere' * measured}"
    return f"on thin vessels its AUROC is {value_text(board, column, i)}, {verdict} chance ({level})"


def _gap(board: Leaderboard, i: int) -> str:
    column = board.column("thin-gap")
    if column is None or math.isnan(mean := float(board.mean(column)[i])):
        return ""
    low, high = _interval(board, board.scores(column)[i])
    value = f"(thin-gap {value_text(board, column, i)})"
    if low <= 0 <= high:
        return f"it favours neither thin nor thick vessels {value}"
    return f"it favours {'thick' if mean > 0 else 'thin'} vessels {number(2 ** abs(mean))}-fold {value}"


def _gates(board: Leaderboard, i: int) -> str:
    means = {c: float(board.mean(c)[i]) for c in board.columns if c.gate is not None}
    failed = [c.name for c, mean in means.items() if math.isfinite(mean) and not c.passes(mean)]
    return f"it fails the gate{'s' * (len(failed) > 1)} {listed(failed)}" if failed else ""


def _limits(board: Leaderboard) -> list[str]:
    lines = []
    if board.primary and board.is_method.any():
        complete = complete_controls(board, board.primary)
        if absent := [name for name in CONTROLS if name not in complete]:
            lines.append(f"Not compared with {listed(absent)}: no complete {board.primary.name} in this run.")
    if len(board.cases) == 1:
        lines.append("This is one image: it says nothing about other images, and no interval or test can be given.")
    elif len(board.cases) < rank_tests.FEWEST:
        lines.append(f"These are {len(board.cases)} images: too few for a test, and the intervals are rough.")
    return lines
