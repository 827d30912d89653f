"""``agreement.md``: whether rankings agree between networks, data, fills and targets, and what beats which control."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from networks import NAMES, board, means
from scipy.stats import kendalltau
from tables import BLURRED, CONTROLS, TARGETS

from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.summary.best_methods import paired
from xaibench.running.plan import FEW_STEPS
from xaibench.running.plan import FILLS as OTHER_FILLS

FILLS = ("srg", *(f"srg[fill={fill},steps={FEW_STEPS}]" for fill in OTHER_FILLS))


def agreement(rankings: dict[str, dict[str, float]]) -> list[str]:
    """Kendall's τ between all pairs of rankings over the methods that both have, as a Markdown table."""
    names = list(rankings)
    lines = ["| | " + " | ".join(names) + " | best | methods |", "| --- |" + " --: |" * len(names) + " --- | --: |"]
    for a in names:
        cells = []
        for b in names:
            common = sorted(set(rankings[a]) & set(rankings[b]))
            one, other = ([r[m] for m in common] for r in (rankings[a], rankings[b]))
            cells.append("" if a == b else f"{kendalltau(one, other).statistic:.2f}")
        best = max(rankings[a], key=rankings[a].__getitem__)
        lines.append(f"| {a} | " + " | ".join(cells) + f" | {best} | {len(rankings[a])} |")
    return lines


def beaten(board: Leaderboard, columns: Sequence[str], controls: Sequence[str]) -> list[str]:
    """Which controls each method beats (+), loses to (−) or is not told apart from (=), by column, as a Markdown table.

    By the 95 % bootstrap interval of the paired difference over images; – where a score is missing.

    Raises:
        ValueError: if a column was not measured.
    """
    names = [row.method for row in board.rows]
    found = [column for column in map(board.column, columns) if column is not None]
    if len(found) < len(columns):
        raise ValueError(f"{board.dataset} lacks one of {', '.join(columns)}.")
    heads = [f"{control}: {column.name}" for control in controls for column in found]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " :-: |" * len(heads)]
    for i, row in enumerate(board.rows):
        if not row.control:
            ends = [paired(board, c, i, names.index(control))[1:] for control in controls for c in found]
            marks = ["+" if low > 0 else "−" if high < 0 else "–" if np.isnan(low) else "=" for low, high in ends]
            lines.append(f"| {row.method} | " + " | ".join(marks) + " |")
    return lines


def page() -> str:
    """``agreement.md``: is the best method best everywhere?"""
    boards = {name: board(name) for name in NAMES}
    across = {name: means(table, "srg") for name, table in boards.items()}
    blurred = {name: means(table, BLURRED) for name, table in boards.items() if table.column(BLURRED) is not None}
    drive = boards["drive"]
    fills = {fill: means(drive, fill) for fill in FILLS}
    by_target = {target: drive if target == "vessels" else board("drive", target) for target in TARGETS}
    targets = {target: means(table, "srg") for target, table in by_target.items()}
    text = [
        "# Is the best method best everywhere?",
        "",
        "Kendall's τ between rankings by mean `srg`, over the methods that two tables have in common: 1 is the same "
        "order, 0 none.",
        "",
        "## Across networks and data (target vessels)",
        "",
        *agreement(across),
        "",
        f"With blurs instead of inpainting (`{BLURRED}`), where that was measured:",
        "",
        *agreement(blurred),
        "",
        "What a method beats (+), loses to (−) or is not told apart from (=), by the 95 % interval of the difference:",
        "",
        *itertools.chain.from_iterable(
            (
                f"### {name}",
                "",
                *beaten(table, [c for c in FILLS if table.column(c) is not None], ("prediction", "frangi")),
                "",
            )
            for name, table in boards.items()
            if table is not drive
        ),
        "## Across fills (DRIVE, U-Net, target vessels)",
        "",
        *agreement(fills),
        "",
        "What a method beats, as above:",
        "",
        *beaten(drive, FILLS, ("prediction", "frangi", "green-contrast")),
        "",
        "## Across targets (DRIVE, U-Net)",
        "",
        *agreement(targets),
        "",
        "What a method beats, as above, by target:",
        "",
        *itertools.chain.from_iterable(
            (f"### {target}", "", *beaten(table, ["srg"], (*CONTROLS, "frangi")), "")
            for target, table in by_target.items()
        ),
    ]
    return "\n".join(text)
