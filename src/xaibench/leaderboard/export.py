"""Lines of plain values, as csv and as JSON."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence

from xaibench.leaderboard.leaderboard import Leaderboard


def plain(line: Mapping[str, object]) -> dict[str, object]:
    """The line with its numbers to eight digits, and None where there is none.

    Eight digits say more than any score knows, and keep the last bits of a sum from looking like a difference.

    Example:
        >>> plain({"sum": 0.1 + 0.2, "missing": math.nan, "method": "lime"})
        {'sum': 0.3, 'missing': None, 'method': 'lime'}
    """
    floats = {k: float(f"{v:.8g}") if math.isfinite(v) else None for k, v in line.items() if isinstance(v, float)}
    return {**line, **floats}


def about(board: Leaderboard) -> dict[str, object]:
    """What tells several leaderboards apart."""
    return {n: getattr(board, n) for n in ("dataset", "split", "model", "target")}


def csv_text(lines: Sequence[Mapping[str, object]], heads: Sequence[str]) -> str:
    """What the lines have of these heads, empty where a line has no such value or it is None."""
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def json_text(lines: Sequence[Mapping[str, object]]) -> str:
    """A strictly valid array with one object per line."""
    return json.dumps(list(lines), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
