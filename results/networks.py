"""``networks.md``: whether what one network shows on one dataset holds for others, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tables import BLURRED, TABLES

from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.claims.judge import Claim, read_claims
from xaibench.leaderboard.claims.verdict import UNMEASURED
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.tables.numbers import probability, with_interval
from xaibench.record import Store

HERE = Path(__file__).parent
NAMES = tuple(name for name, table in TABLES.items() if not table.wide)
COLUMNS = {
    "srg": "how much more the network loses when what the map marks first is removed first; 0 is chance",
    BLURRED: "the same with blurs, not inpainting, in the place of what is removed, where that was measured",
    "auroc-thin": "how well the map tells thin vessels from the background; chance: about .5, each table's last line",
    "thin-gap": "log₂ of how many times as much a pixel of a thick vessel gets; 0 is even-handed",
    "thin-gap-matched": "the same between vessels of one contrast",
}


def board(name: str, target: str = "vessels") -> Leaderboard:
    """A published table."""
    (found,) = read_leaderboards([Store.open(HERE / name)], target=target)
    return found


def means(board: Leaderboard, name: str) -> dict[str, float]:
    """A column of a table, by method that is no control, without those that lack a score."""
    column = board.column(name)
    assert column is not None, f"{name} was not measured"
    found = zip(board.rows, board.mean(column), strict=True)
    return {row.method: float(mean) for row, mean in found if not row.control and np.isfinite(mean)}


def side_by_side(boards: Mapping[str, Leaderboard], name: str) -> list[str]:
    """A column of several tables as a Markdown table: what all of them have, in the order of the first.

    Raises:
        ValueError: if one of them was not measured for it.
    """
    cells: dict[str, dict[str, str]] = {}
    for table, board in boards.items():
        column = board.column(name)
        if column is None:
            raise ValueError(f"{table} lacks {name}.")
        low, high = board.interval(column)
        shown = map(lambda *x: with_interval(*map(float, x), bounded=column.bounded), board.mean(column), low, high)
        cells[table] = {f"*{r.method}*" if r.control else r.method: c for r, c in zip(board.rows, shown, strict=True)}
    first, *others = cells.values()
    heads = [f"{table} ({len(board.cases)})" for table, board in boards.items()]
    lines = [f"| | {' | '.join(heads)} |", "| --- |" + " --: |" * len(heads)]
    common = [method for method in first if all(method in other for other in others)]
    return [*lines, *(f"| {m} | {' | '.join(column[m] for column in cells.values())} |" for m in common)]


def verdicts(found: Mapping[str, Sequence[Claim]]) -> list[str]:
    """The claims on several tables as a Markdown table: first measure, interval and p, and the verdict."""
    measured = {
        table: {(c.name, c.method, _measure(c)): c for c in claims if c.verdict != UNMEASURED}
        for table, claims in found.items()
    }
    asked = sorted(dict.fromkeys(key for claims in measured.values() for key in claims), key=lambda key: key[0])
    lines = [f"| claim | method | measure | {' | '.join(found)} |", "| :-- | :-- | :-- |" + " :-- |" * len(found)]
    for key in asked:
        said = [_said(claims[key]) if key in claims else "" for claims in measured.values()]
        lines.append(f"| {' | '.join((*key, *said))} |")
    return lines


def _measure(claim: Claim) -> str:
    measure = claim.tests[0].measure
    return measure if claim.target == "vessels" else f"{measure}, explaining {claim.target}"


def _said(claim: Claim) -> str:
    test = claim.tests[0]
    shown = with_interval(test.value, test.low, test.high, bounded=False)
    return f"{shown}, p {probability(test.p_holm)}: {claim.verdict}"


def page() -> str:
    """``networks.md``."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    boards = {name: board(name) for name in NAMES}
    claims = {name: [c for group in read_claims([Store.open(HERE / name)]) for c in group] for name in NAMES}
    yield from ("# Does it hold for other networks and other data?", "")
    yield (
        "Means over images (how many, in brackets) with 95 % bootstrap intervals, for target vessels; "
        "controls in italics."
    )
    for name, meaning in COLUMNS.items():
        asked = {n: b for n, b in boards.items() if name != BLURRED or b.column(name) is not None}
        yield from ("", f"## {name}", "", f"{meaning[0].upper()}{meaning[1:]}.", "", *side_by_side(asked, name))
    yield from ("", "## The founding paper's claims", "")
    yield (
        "The first measure of each claim with its interval and p (Wilcoxon, after Holm over the claims of one table), "
        "and the verdict of all its measures, which each table's `claims.md` has."
    )
    yield from ("", *verdicts(claims))
