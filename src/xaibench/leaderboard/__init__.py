"""Records to a table that can be trusted: intervals, ranks, groups, and what they mean in words.

Nothing here computes a map or a score, so that a finished run is read and printed without loading a network library.
"""

from xaibench.leaderboard.aggregate import aggregate, leaderboards, read_leaderboards
from xaibench.leaderboard.board import Column, Leaderboard, Row
from xaibench.leaderboard.tables import FORMATS, render, write_leaderboard
from xaibench.leaderboard.words import summarise

__all__ = [
    "FORMATS",
    "Column",
    "Leaderboard",
    "Row",
    "aggregate",
    "leaderboards",
    "read_leaderboards",
    "render",
    "summarise",
    "write_leaderboard",
]
