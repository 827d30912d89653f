"""``networks.md``: the results of several networks and datasets side by side."""

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
    "srg": "Symmetric relevance gain with inpainting: the area between the curve with the least attributed pixels "
    "removed first and the curve with the most attributed pixels removed first. 0 is chance.",
    BLURRED: "The same with the blur fill instead of inpainting, where measured.",
    "auroc-thin": "ROC area of the map for thin vessels against the background. Chance is about .5; "
    "the last line of each table's `leaderboard.md` has it.",
    "thin-gap": "log₂ of the attribution per pixel of thick vessels over thin vessels; 0 is even-handed.",
    "thin-gap-matched": "The same between vessels of equal contrast.",
}


def published(name: str, target: str = "vessels") -> Leaderboard:
    """The leaderboard of a published table, for one target."""
    (leaderboard,) = read_leaderboards([Store.open(HERE / name)], target=target)
    return leaderboard


def mean_by_method(table: Leaderboard, name: str) -> dict[str, float]:
    """Mean over images of a column, by method. Controls and methods that lack a score are left out."""
    column = table.column(name)
    assert column is not None, f"{name} was not measured"
    means = zip(table.rows, table.mean(column), strict=True)
    return {row.method: float(mean) for row, mean in means if not row.control and np.isfinite(mean)}


def side_by_side(tables: Mapping[str, Leaderboard], name: str) -> list[str]:
    """One column of several tables as a Markdown table: the methods of all, in the order of the first table.

    Raises:
        ValueError: if a table lacks the column.
    """
    cells: dict[str, dict[str, str]] = {}
    for title, table in tables.items():
        column = table.column(name)
        if column is None:
            raise ValueError(f"{title} lacks {name}.")
        figures = zip(table.rows, table.mean(column), *table.interval(column), strict=True)
        cells[title] = {
            f"*{row.method}*" if row.control else row.method: with_interval(*map(float, figure), bounded=column.bounded)
            for row, *figure in figures
        }
    first, *others = cells.values()
    heads = [f"{title} ({len(table.cases)})" for title, table in tables.items()]
    lines = [f"| | {' | '.join(heads)} |", "| --- |" + " --: |" * len(heads)]
    common = [method for method in first if all(method in other for other in others)]
    return [*lines, *(f"| {m} | {' | '.join(column[m] for column in cells.values())} |" for m in common)]


def verdict_table(claims: Mapping[str, Sequence[Claim]]) -> list[str]:
    """Claims on several tables as a Markdown table: the first measure with interval and p, and the verdict."""
    measured = {
        title: {(c.name, c.method, _measure(c)): c for c in judged if c.verdict != UNMEASURED}
        for title, judged in claims.items()
    }
    keys = sorted(dict.fromkeys(key for judged in measured.values() for key in judged), key=lambda key: key[0])
    lines = [f"| claim | method | measure | {' | '.join(claims)} |", "| :-- | :-- | :-- |" + " :-- |" * len(claims)]
    for key in keys:
        cells = [_verdict(judged[key]) if key in judged else "" for judged in measured.values()]
        lines.append(f"| {' | '.join((*key, *cells))} |")
    return lines


def _measure(claim: Claim) -> str:
    measure = claim.tests[0].measure
    return measure if claim.target == "vessels" else f"{measure}, explaining {claim.target}"


def _verdict(claim: Claim) -> str:
    test = claim.tests[0]
    value = with_interval(test.value, test.low, test.high, bounded=False)
    return f"{value}, p {probability(test.p_holm)}: {claim.verdict}"


def page() -> str:
    """The text of ``networks.md``."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    tables = {name: published(name) for name in NAMES}
    claims = {name: [c for group in read_claims([Store.open(HERE / name)]) for c in group] for name in NAMES}
    yield from ("# Do the results hold for other networks and other data?", "")
    yield (
        "Means over images (their number in brackets) with 95 % bootstrap intervals; "
        "target vessels; controls in italics."
    )
    for name, meaning in COLUMNS.items():
        shown = {n: t for n, t in tables.items() if name != BLURRED or t.column(name) is not None}
        yield from ("", f"## {name}", "", meaning, "", *side_by_side(shown, name))
    yield from ("", "## The founding paper's claims", "")
    yield (
        "The first measure of each claim with its interval and p (Wilcoxon, Holm-corrected over the claims of one "
        "table). The verdict takes all measures of the claim; each table's `claims.md` lists them."
    )
    yield from ("", *verdict_table(claims))
