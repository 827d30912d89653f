"""The table of a leaderboard as a page shows it: a few columns at first, each cell with what it is sorted by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Column, Leaderboard
from xaibench.leaderboard.statistics.metric_quality import qualities
from xaibench.leaderboard.tables.leaderboard_table import all_columns, condition, notes
from xaibench.leaderboard.tables.numbers import EMPTY, band, number, with_interval

FIRST = ("srg", "srg-thin", "srg-thick", "auroc-thin", "auroc-thick", "thin-gap")  # seen before "more columns"
_BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "zero": "nearest 0 is best",
    "none": "describes; no end is better",
}
_MEANS = {
    "srg": "Does the network really use what the map marks? Area under its answer while the least attributed pixels "
    "are removed first, less that while the most attributed are; 0 is chance.",
    "srg-thin": "The same for maps that explain the thin vessels alone.",
    "srg-thick": "The same for maps that explain the thick vessels alone.",
    "deletion": "What the network still finds while the most attributed pixels are removed first.",
    "insertion": "What the network finds again while the most attributed pixels are put back first.",
    "auroc-thin": "Does the map lie on thin vessels rather than on the background? .5 is chance.",
    "auroc-thick": "Does the map lie on thick vessels rather than on the background? .5 is chance.",
    "lift-thin": "How many times more attribution thin vessels hold than their area would by chance; 1 is chance.",
    "lift-thick": "How many times more attribution thick vessels hold than their area would by chance; 1 is chance.",
    "thin-gap": "Does it favour thick (+) or thin (−) vessels? +1 is twice as much on thick ones.",
    "thin-gap-matched": "The same between thin and thick vessels of like contrast.",
    "fp-lift": "Attribution on false positives ÷ that on others that look like vessels.",
}


def table(board: Leaderboard) -> dict[str, Any]:
    """What the template needs: ``heads``, ``methods``, ``controls``, ``chance``, ``notes``, ``more``.

    A head is a dictionary with ``name``, ``title``, ``first`` (shown at once), ``weak``, and ``word`` (sorted as text);
    a row has ``method``, ``family`` and ``cells``; a cell ``text``, ``small`` (its interval) and ``value``.
    """
    quality = qualities(board)
    columns = [c for name in all_columns(board) if (c := board.column(name)) is not None]
    columns.sort(key=lambda c: FIRST.index(main_stem(c.name)) if main_stem(c.name) in FIRST else len(FIRST))
    primary = board.primary.name if board.primary else ""
    heads = [
        _head("rank", "Place by the mean rank over images on " + primary if primary else "No column ranks."),
        _head("group", "Methods that share a letter cannot be told apart.", word=True),
    ]
    grouped = any(r.group for r in board.rows)
    heads = heads if grouped else heads[:1]
    for c in columns:
        stem = main_stem(c.name)
        first = stem in FIRST or c.name == primary or c.gate is not None
        about = [_MEANS.get(stem, ""), f"{_BETTER[c.better].capitalize()}.", f"Family: {c.family}."]
        weak = c.name in quality and quality[c.name].weak
        heads.append(_head(c.name, " ".join(filter(None, about)), first=first, weak=weak))
    heads += [
        _head("coverage", "Share of the images with a map."),
        _head("seconds", "Wall time per map, s. Lower is better."),
        _head("passes", "Images that went through the network per map. Lower is better.", first=False),
    ]
    cells = [[_metric_cell(board, c, i) for c in columns] for i in range(len(board.rows))]
    rows = []
    for r, metrics in zip(board.rows, cells, strict=True):
        place = [_cell(str(r.rank or ("" if r.control else EMPTY)), r.rank or math.inf)]
        place += [_cell(r.group, r.group)] if grouped else []
        cost = [_cell(f"{100 * r.coverage:.0f} %", r.coverage), _cell(number(r.seconds), r.seconds)]
        passes = f"{r.passes:.0f}" if float(r.passes).is_integer() else number(r.passes)
        rows.append(
            {
                "method": r.method,
                "family": r.family,
                "control": r.control,
                "cells": [*place, *metrics, *cost, _cell(passes, r.passes)],
            }
        )
    chance = ["" if c.gate is not None else band(*(board.chance(c) or (math.nan, math.nan))) for c in columns]
    before = [""] * (2 if grouped else 1)
    return {
        "heads": heads,
        "methods": [r for r in rows if not r["control"]],
        "controls": [r for r in rows if r["control"]],
        "chance": [*before, *chance, "", "", ""] if any(chance) else [],
        "notes": notes(board, all_columns(board), quality),
        "more": sum(not h["first"] for h in heads),
        "gates": [f"{c.name}: {condition(c)}" for c in columns if c.gate is not None],
    }


def _head(name: str, title: str, *, first: bool = True, weak: bool = False, word: bool = False) -> dict[str, Any]:
    return {"name": name, "title": title, "first": first, "weak": weak, "word": word}


def _cell(text: str, value: float | str, small: str = "") -> dict[str, str]:
    key = value if isinstance(value, str) else f"{value:.9g}" if math.isfinite(value) else ""
    return {"text": text, "small": small, "value": key}


def _metric_cell(board: Leaderboard, column: Column, i: int) -> dict[str, str]:
    mean = float(board.mean(column)[i])
    if column.gate is not None:
        return _cell(EMPTY if np.isnan(mean) else "pass" if column.passes(mean) else "fail", mean)
    low, high = (float(end[i]) for end in board.interval(column))
    text, _, interval = with_interval(mean, low, high, bounded=column.bounded).partition(" ")
    return _cell(text, mean, interval)
