"""Is a row that was made anew what was published? ``python results/same.py runs/row results/drive``

Prints how many maps, scores and figures are the same; exits with 1 where a map or a figure of the leaderboard is not.
What a processor rounds otherwise, such as sums by OpenBLAS, shows in the last digits of scores.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable
from pathlib import Path

from xaibench.errors import UserError
from xaibench.leaderboard.tables.numbers import listed
from xaibench.record import Record, Store

# What depends on the machine, or on the other rows of a table.
COSTS, RANKS = ("seconds", "peak-mb"), ("rank", "mean_rank", "group")
Row = tuple[str, str, str]


def rows(folder: Path) -> dict[Row, Record]:
    """Records of a run by target, method and image."""
    return {(r.target, r.spec, r.case): r for r in Store.open(folder).records()}


def scores(mine: Record, theirs: Record) -> Iterable[tuple[str, float | None, float | None]]:
    """Scores that both records have, without costs: (metric, mine, theirs)."""
    published = {s.metric: s.value for s in theirs.scores if s.metric not in COSTS}
    return ((s.metric, s.value, published[s.metric]) for s in mine.scores if s.metric in published)


def difference(a: float | None, b: float | None) -> float:
    """Of two scores that are not the same, relative to the larger; infinite where one is missing."""
    return math.inf if a is None or b is None else abs(a - b) / max(abs(a), abs(b))


def images(found: Iterable[Row], target: str) -> set[str]:
    """Which images a target has."""
    return {case for of, _method, case in found if of == target}


def figures(folder: Path, target: str) -> dict[tuple[str, str], str]:
    """Cells of ``leaderboard.csv`` by method and column, without costs and what depends on other rows."""
    with (folder / "leaderboard.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line.get("target", target) == target]
    left_out = {*RANKS, *(f"{c}{end}" for c in COSTS for end in ("", "_lo", "_hi"))}
    return {(line["method"], column): line[column] for line in lines for column in line if column not in left_out}


def compare(run: Path, published: Path) -> tuple[list[str], bool]:
    """What is the same, in words, and whether all maps and figures are.

    Raises:
        UserError: if one is no run, or the two have no cell in common.
    """
    mine, theirs = rows(run), rows(published)
    common = sorted(mine.keys() & theirs.keys())
    if not common:
        raise UserError(
            f"{run} and {published} have no method, target and image in common.",
            f"`xaibench leaderboard {run}` shows what it has.",
        )
    maps = sum(mine[c].map_digest != theirs[c].map_digest for c in common)
    pairs = [pair for cell in common for pair in scores(mine[cell], theirs[cell])]
    off = [(difference(a, b), metric) for metric, a, b in pairs if a != b]
    whole = sorted(target for target in {c[0] for c in common} if images(mine, target) == images(theirs, target))
    shown = {target: (figures(run, target), figures(published, target)) for target in whole}
    cells = [(a[k], b[k]) for a, b in shown.values() for k in a.keys() & b.keys()]
    wrong = sum(a != b for a, b in cells)
    said = [
        f"{len(common)} maps: {maps or 'none'} differ in a bit.",
        f"{len(pairs)} scores: {len(off) or 'none'} differ in a digit"
        + (f", by at most {max(off)[0]:.0e} of their value ({listed(sorted({m for _, m in off}))})." if off else "."),
        f"{len(cells)} figures of leaderboard.csv: {wrong or 'none'} differ."
        if whole
        else "Figures of leaderboard.csv are of other images and not compared.",
    ]
    return said, maps == wrong == 0


def main() -> None:
    """``same.py RUN PUBLISHED``."""
    if len(sys.argv) != 3:
        raise SystemExit("Say a run and a published table: python results/same.py runs/row results/drive")
    try:
        said, same = compare(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as wrong:
        raise SystemExit(str(wrong)) from None
    print("\n".join(said))
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
