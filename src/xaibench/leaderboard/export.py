"""Lines of plain values, as csv and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from xaibench.leaderboard.leaderboard import Leaderboard


def plain(x: float) -> float | None:
    """The number to eight digits; None where there is none.

    Eight digits say more than any score knows, and keep the last bits of a sum from looking like a difference.

    Example:
        >>> plain(0.1 + 0.2), plain(math.nan)
        (0.3, None)
    """
    return float(f"{x:.8g}") if math.isfinite(x) else None


def about(board: Leaderboard) -> dict[str, Any]:
    """What tells several leaderboards apart."""
    return {n: getattr(board, n) for n in ("dataset", "split", "model", "target")}


def csv_text(lines: Sequence[Mapping[str, Any]], heads: Sequence[str]) -> str:
    """What the lines have of these heads, empty where a line has no such value or it is None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def json_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """A strictly valid array with one object per line."""
    return json.dumps(list(lines), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
