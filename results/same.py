"""Compare a recomputed row with the published table: ``python results/same.py runs/row results/drive``.

Prints how many maps, scores and leaderboard figures differ. The exit code is 1 if a map or a figure of the leaderboard
differs. Rounding that depends on the processor, such as OpenBLAS's order of summation, shows in the last digits of
scores.
"""

import csv
import math
import sys
from collections.abc import Iterable
from pathlib import Path

from xaibench.errors import UserError
from xaibench.leaderboard.tables.numbers import listed
from xaibench.record import Record, Store

# Columns that depend on the machine, and columns that depend on the other rows of a table.
COSTS, RANKS = ("seconds", "peak-mb"), ("rank", "mean_rank", "group")
NOT_COMPARED = {*RANKS, *(f"{cost}{end}" for cost in COSTS for end in ("", "_lo", "_hi"))}
Cell = tuple[str, str, str]  # target, method, image


def cells(folder: Path) -> dict[Cell, Record]:
    """The records of a run by cell."""
    return {(r.target, r.spec, r.case): r for r in Store.open(folder).records()}


def score_pairs(mine: Record, theirs: Record) -> Iterable[tuple[str, float | None, float | None]]:
    """The scores that both records have, without costs: (metric, mine, theirs)."""
    published = {s.metric: s.value for s in theirs.scores if s.metric not in COSTS}
    return ((s.metric, s.value, published[s.metric]) for s in mine.scores if s.metric in published)


def relative_difference(a: float | None, b: float | None) -> float:
    """The difference of two unequal scores, relative to the larger one; infinite if one is missing."""
    return math.inf if a is None or b is None else abs(a - b) / max(abs(a), abs(b))


def images(cells: Iterable[Cell], target: str) -> set[str]:
    """The images of a target."""
    return {case for of, _method, case in cells if of == target}


def figures(folder: Path, target: str) -> dict[tuple[str, str], str]:
    """The figures of ``leaderboard.csv`` by method and column, without costs and ranks."""
    with (folder / "leaderboard.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line.get("target", target) == target]
    return {(line["method"], column): line[column] for line in lines for column in line if column not in NOT_COMPARED}


def compare(run: Path, published: Path) -> tuple[list[str], bool]:
    """Compare the common cells of two runs.

    Returns:
        One sentence each on maps, scores and figures, and whether all maps and figures are equal.

    Raises:
        UserError: if one is no run, or the two have no cell in common.
    """
    mine, theirs = cells(run), cells(published)
    common = sorted(mine.keys() & theirs.keys())
    if not common:
        raise UserError(
            f"{run} and {published} have no method, target and image in common.",
            f"`xaibench leaderboard {run}` shows what it has.",
        )
    maps = sum(mine[c].map_digest != theirs[c].map_digest for c in common)
    scores = [pair for cell in common for pair in score_pairs(mine[cell], theirs[cell])]
    unequal = [(relative_difference(a, b), metric) for metric, a, b in scores if a != b]
    largest = (
        f", by at most {max(unequal)[0]:.0e} of their value ({listed(sorted({m for _, m in unequal}))})"
        if unequal
        else ""
    )
    # A mean over other images is another figure.
    targets = [t for t in sorted({c[0] for c in common}) if images(mine, t) == images(theirs, t)]
    tables = [(figures(run, target), figures(published, target)) for target in targets]
    compared = [a[key] == b[key] for a, b in tables for key in a.keys() & b.keys()]
    wrong = compared.count(False)
    lines = [
        f"{len(common)} maps: {maps or 'none'} differ in a bit.",
        f"{len(scores)} scores: {len(unequal) or 'none'} differ in a digit{largest}.",
        f"{len(compared)} figures of leaderboard.csv: {wrong or 'none'} differ."
        if targets
        else "Figures of leaderboard.csv are means over other images and not compared.",
    ]
    return lines, maps == wrong == 0


def main() -> None:
    """``same.py RUN PUBLISHED``."""
    if len(sys.argv) != 3:
        raise SystemExit("Name a run and a published table: python results/same.py runs/row results/drive")
    try:
        lines, same = compare(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as error:
        raise SystemExit(str(error)) from None
    print("\n".join(lines))
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
