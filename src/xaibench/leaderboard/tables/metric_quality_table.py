"""The quality of metrics, written out in every format from one list of rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from xaibench.leaderboard.export import about, csv_text, json_text, plain
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics.metric_quality import NOISE, TRUTH, Quality, qualities
from xaibench.leaderboard.tables.formats import html_page, to_latex, to_markdown, to_text, written
from xaibench.leaderboard.tables.numbers import EMPTY, Sheet, band, number, probability
from xaibench.leaderboard.tables.sheet import subject

_NOTES = [
    f"effect: matched-pairs rank-biserial correlation of {TRUTH} less {NOISE} over images (Kerby 2014); 1 where the "
    f"truth scores better on every image, without a better end higher. p: Wilcoxon. tells: whether p ≤ .05 the right "
    f"way.",
    "α: agreement of the images on the methods' ranks (Krippendorff); 1 is the same ranks, 0 is chance.",
    "τ fills: lowest Kendall τ between the methods' ranks with this fill and with another.",
    "chance: where a method's mean lies by chance, from its maps against masks rotated and mirrored. missing: share of "
    "cells without a value.",
    "weak metrics, which leaderboards print grey, do not tell noise from the truth or have an α below .1.",
]


def metric_rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One dictionary per column with the columns of ``metrics.csv``; None where there is no number."""
    return [
        {k: plain(v) if isinstance(v, float) else v for k, v in dataclasses.asdict(q).items()}
        for q in qualities(board).values()
    ]


def metric_sheet(board: Leaderboard) -> Sheet:
    """The table of all metrics, the weak ones grey."""
    found = list(qualities(board).values())
    lines = [
        [
            *(q.metric, q.family, q.better, number(q.effect), probability(q.p), q.tells),
            *(number(q.alpha), number(q.tau_fills).strip(EMPTY), band(q.chance_lo, q.chance_hi)),
            *(f"{100 * q.missing:.0f} %", "weak" if q.weak else ""),
        ]
        for q in found
    ]
    heads = ["metric", "family", "better", "effect", "p", "tells", "α", "τ fills", "chance", "missing", "weak"]
    weak = frozenset(i for i, q in enumerate(found) if q.weak)
    left = frozenset(heads.index(h) for h in ("metric", "family", "better", "tells", "weak"))
    return Sheet(f"Metrics · {subject(board)}", heads, lines, [], [], _NOTES, left=left, weak_lines=weak)


def render_metrics(boards: Sequence[Leaderboard], format: str = "table", *, faint: bool = False) -> str:
    """The quality of the metrics of leaderboards, in one of :data:`~xaibench.leaderboard.tables.formats.FORMATS`.

    Args:
        boards: one table each.
        format: csv and json have the columns of ``metrics.csv``.
        faint: dim what is weak in a terminal that understands ANSI codes.

    Raises:
        UserError: for another format.
    """
    heads = [f.name for f in dataclasses.fields(Quality)]
    several = len(boards) > 1
    lines = [about(b) | line for b in boards for line in metric_rows(b)]
    sheets = [metric_sheet(b) for b in boards]
    return written(
        format,
        table=lambda: "\n".join(to_text(s, width=120, faint=faint) for s in sheets),
        markdown=lambda: "\n".join(map(to_markdown, sheets)),
        latex=lambda: "\n".join(map(to_latex, sheets)),
        html=lambda: html_page(sheets),
        csv=lambda: csv_text(lines, [*(about(boards[0]) if several else ()), *heads]),
        json=lambda: json_text(lines),
    )
