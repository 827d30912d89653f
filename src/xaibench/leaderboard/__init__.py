"""Records to a table that can be trusted: intervals, ranks, groups, and what they mean in words.

Nothing here computes a map or a score, so that a finished run is read and printed without loading a network library.
"""

from xaibench.leaderboard.aggregate import aggregate, leaderboards, read_leaderboards
from xaibench.leaderboard.board import Column, Leaderboard, Row
from xaibench.leaderboard.formats import FORMATS
from xaibench.leaderboard.meta import Quality, qualities
from xaibench.leaderboard.meta_tables import render_metrics
from xaibench.leaderboard.tables import render, write_leaderboard
from xaibench.leaderboard.words import summarise

__all__ = [
    "FORMATS",
    "Column",
    "Leaderboard",
    "Quality",
    "Row",
    "aggregate",
    "leaderboards",
    "qualities",
    "read_leaderboards",
    "render",
    "render_metrics",
    "summarise",
    "write_leaderboard",
]
