"""The quality of metrics in every output format."""

import dataclasses
from collections.abc import Sequence

from xaibench.leaderboard.export import about, csv_text, json_text, plain
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics.metric_quality import NOISE, TRUTH, Quality, qualities
from xaibench.leaderboard.tables.formats import write_sheets
from xaibench.leaderboard.tables.leaderboard_table import subject
from xaibench.leaderboard.tables.numbers import EMPTY, band, number, probability
from xaibench.leaderboard.tables.sheet import Sheet

_HEADS = ["metric", "family", "better", "effect", "p", "tells", "α", "τ fills", "chance", "missing", "weak"]
_NOTES = [
    f"effect: matched-pairs rank-biserial correlation of {TRUTH} minus {NOISE} over images (Kerby 2014); 1: {TRUTH} "
    "scores better on every image (higher, for a metric without a direction). p: Wilcoxon. tells: whether p ≤ .05 in "
    "the right direction.",
    "α: agreement of the images on the methods' ranks (Krippendorff); 1: the same ranks, 0: chance level.",
    "τ fills: lowest Kendall τ between the methods' ranks with this fill and with another.",
    "chance: 2.5–97.5 % range of the methods' means against masks rotated and mirrored. missing: share of cells "
    "without a value.",
    "weak: leaderboards print the metric grey, because it does not tell noise from the truth or its α is below .1.",
]


def metric_sheet(board: Leaderboard) -> Sheet:
    """The table of all metrics, the weak ones grey."""
    metrics = list(qualities(board).values())
    lines = [
        [
            *(q.metric, q.family, q.better, number(q.effect), probability(q.p), q.tells),
            *(number(q.alpha), number(q.tau_fills).strip(EMPTY), band(q.chance_lo, q.chance_hi)),
            *(f"{100 * q.missing:.0f} %", "weak" if q.weak else ""),
        ]
        for q in metrics
    ]
    return Sheet(
        f"Metrics · {subject(board)}",
        _HEADS,
        lines,
        _NOTES,
        left=frozenset(map(_HEADS.index, ("metric", "family", "better", "tells", "weak"))),
        weak_lines=frozenset(i for i, q in enumerate(metrics) if q.weak),
    )


def render_metrics(boards: Sequence[Leaderboard], format: str = "table", *, faint: bool = False) -> str:
    """The quality of the metrics of leaderboards, in one of :data:`~xaibench.vocabulary.TABLE_FORMATS`.

    Args:
        boards: one table each.
        format: csv and json have the columns of ``metrics.csv``.
        faint: dim weak metrics with ANSI codes in the format ``"table"``.

    Raises:
        UserError: for an unknown format.
    """

    def lines() -> list[dict[str, object]]:
        return [about(b) | plain(dataclasses.asdict(q)) for b in boards for q in qualities(b).values()]

    heads = [f.name for f in dataclasses.fields(Quality)]
    return write_sheets(
        lambda: list(map(metric_sheet, boards)),
        format,
        faint=faint,
        csv=lambda: csv_text(lines(), [*(about(boards[0]) if len(boards) > 1 else ()), *heads]),
        json=lambda: json_text(lines()),
    )
