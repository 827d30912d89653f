"""The table section: a leaderboard that can be sorted; main columns are shown first."""

import math

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics.metric_quality import Quality, qualities
from xaibench.leaderboard.tables.leaderboard_table import all_columns, cells_of, notes
from xaibench.leaderboard.tables.numbers import EMPTY

_DIRECTIONS = {
    "higher": "Higher is better.",
    "lower": "Lower is better.",
    "zero": "Nearest 0 is best.",
    "none": "Descriptive; no direction is better.",
}


def table(board: Leaderboard) -> dict[str, object]:
    """The table for the template.

    Returns:
        ``heads``: one per column with ``name``, ``title``, ``first`` (shown at once), ``weak`` (grey) and ``word``
        (sorted as text). ``methods`` and ``controls``: rows with ``method``, ``family`` and ``cells``, each with
        ``text``, ``small`` (the interval) and ``value`` (sorted by). ``chance``: texts of the last line, or empty.
        ``notes``: sentences.
    """
    quality = qualities(board)
    primary = f"Place by the mean rank over images on {board.primary.name}." if board.primary else "No column ranks."
    groups = any(r.group for r in board.rows)
    heads = [
        _head("rank", primary),
        *([_head("group", "Methods that share a letter cannot be told apart.", word=True)] if groups else []),
        *(_metric_head(board, c, quality.get(c.name)) for c in board.columns),
        _head(
            "coverage",
            "Share of the images with a map.",
            first=any(r.coverage < 1 for r in board.rows if not r.control),
        ),
        _head("seconds", "Wall time per map, s. Lower is better."),
        _head("passes", "Network passes per map. Lower is better.", first=False),
    ]
    texts = {name: cells_of(board, name) for name in all_columns(board)}
    means = {c.name: board.mean(c) for c in board.columns}
    rows = []
    for i, r in enumerate(board.rows):
        cells = [_cell(str(r.rank or ("" if r.control else EMPTY)), r.rank or math.inf)]
        cells += [_cell(r.group, r.group)] if groups else []
        cells += [_cell(texts[name][i], float(mean[i]), interval=True) for name, mean in means.items()]
        cells += [_cell(f"{100 * r.coverage:.0f} %", r.coverage)]
        cells += [_cell(texts["seconds"][i], r.seconds), _cell(texts["passes"][i], r.passes)]
        rows.append({"method": r.method, "family": r.family, "control": r.control, "cells": cells})
    chance = [texts[c.name][-1] for c in board.columns]
    return {
        "heads": heads,
        "methods": [r for r in rows if not r["control"]],
        "controls": [r for r in rows if r["control"]],
        "chance": [*[""] * (1 + groups), *chance, "", "", ""] if any(chance) else [],
        "notes": notes(board, all_columns(board), quality),
    }


def _head(name: str, title: str, *, first: bool = True, weak: bool = False, word: bool = False) -> dict[str, object]:
    return {"name": name, "title": title, "first": first, "weak": weak, "word": word}


def _metric_head(board: Leaderboard, column: Column, quality: Quality | None) -> dict[str, object]:
    sentences = [column.explanation, _DIRECTIONS[column.better], f"Family: {column.family}."]
    declared = column.main is not None or column.gate is not None or column == board.primary
    first = declared and bool(np.isfinite(board.mean(column)).any())
    weak = quality is not None and quality.weak
    return _head(main_stem(column.label), " ".join(filter(None, sentences)), first=first, weak=weak)


def _cell(text: str, value: float | str, *, interval: bool = False) -> dict[str, str]:
    """A cell; ``interval``: whether the text has an interval after its number."""
    text, _, small = text.partition(" ") if interval else (text, "", "")
    key = value if isinstance(value, str) else f"{value:.9g}" if math.isfinite(value) else ""
    return {"text": text, "small": small, "value": key}
