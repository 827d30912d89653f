"""Leaderboards, written out: terminal table, markdown, csv, latex, html, json."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from xaibench.errors import UserError
from xaibench.leaderboard.aggregate import MAIN_COLUMNS, read_leaderboards
from xaibench.leaderboard.board import Leaderboard
from xaibench.leaderboard.sheet import EMPTY, Sheet, all_columns, heading, main_columns, notes, sheet, unreliable
from xaibench.record import Store, write_text

TERMINAL_WIDTH = 120
# What a terminal table leaves out first where it is too wide.
_DISPENSABLE = ("srg-thick", "srg-thin", "passes", "insertion", "auroc-thick", "lift-thick", "deletion", "seconds")


def to_table(board: Leaderboard, *, wide: bool = False, width: int = TERMINAL_WIDTH) -> str:
    """A table for the terminal, as wide as it must be with ``wide``, else within ``width`` characters."""
    if wide:
        text = _aligned(sheet(board, all_columns(board), intervals=True))
    else:
        columns = main_columns(board)
        primary = board.primary.name if board.primary else ""
        text = _aligned(sheet(board, columns, intervals=False))
        for name in [n for n in _DISPENSABLE if n in columns and n != primary]:
            if max(map(len, text.splitlines())) <= width:
                break
            columns.remove(name)
            text = _aligned(sheet(board, columns, intervals=False))
        left_out = len(all_columns(board)) - len(columns)
        if left_out:
            text += f"\n{left_out} more column{'s' * (left_out > 1)} in the formats csv and json."
    said = [line for note in notes(board) for line in (textwrap.wrap(note, width) if not wide else [note])]
    return "\n".join([heading(board), "", text, *said]) + "\n"


def _aligned(s: Sheet) -> str:
    # "auroc-thin" stands on two lines, since the numbers below it are half as wide.
    split = [h.split("-", 1) if h in MAIN_COLUMNS and "-" in h else ["", h] for h in s.heads]
    rows = [[h[i] for h in split] for i in (0, 1)]
    widths = [max(map(len, column)) for column in zip(*rows, *s.lines, strict=True)]

    def line(cells: list[str]) -> str:
        padded = [c.ljust(w) if i in s.left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(padded).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    head = [line(r) for r in rows if any(r)]
    blocks = [[line(m) for m in block] for block in (s.methods, s.controls) if block]
    return "\n".join([*head, *(text for block in blocks for text in (rule, *block)), rule])


def to_markdown(board: Leaderboard, *, wide: bool = False) -> str:
    """A pipe table under a heading, controls in italics."""
    s = sheet(board, all_columns(board) if wide else main_columns(board), intervals=True)
    escape = lambda c: re.sub(r"([\\|*_`])", r"\\\1", c).replace("<", "&lt;")
    lines = [s.heads, [":--" if i in s.left else "--:" for i in range(len(s.heads))]]
    lines += [[escape(c) for c in m] for m in s.methods]
    lines += [[f"*{escape(c)}*" if c else "" for c in m] for m in s.controls]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"## {heading(board)}\n\n{table}\n\n" + "\n".join(f"* {note}" for note in notes(board)) + "\n"


def to_latex(board: Leaderboard, *, wide: bool = False) -> str:
    """A booktabs ``tabular``, everything escaped, controls under a rule."""
    s = sheet(board, all_columns(board) if wide else main_columns(board), intervals=True)
    line = lambda cells: " & ".join(_latex(c) for c in cells) + r" \\"
    blocks = [[line(m) for m in block] for block in (s.methods, s.controls) if block]
    return "\n".join(
        [
            f"% {heading(board)}; needs \\usepackage{{booktabs}}",
            rf"\begin{{tabular}}{{{''.join('l' if i in s.left else 'r' for i in range(len(s.heads)))}}}",
            r"\toprule",
            line(s.heads),
            *(text for block in blocks for text in (r"\midrule", *block)),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _latex(text: str) -> str:
    special = {c: f"\\{c}" for c in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", EMPTY: "--"}
    # A row that begins with a bracket would be read as the optional argument of the \\ before it.
    special |= {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}"}
    return "".join(special.get(c, c) for c in re.sub(r"(?<![\w-])-(?=[\d.])", "−", text)).replace("−", "$-$")


def to_html(board: Leaderboard, *, wide: bool = False) -> str:
    """A ``<table>`` that brings its own style and needs nothing else."""
    s = sheet(board, all_columns(board) if wide else main_columns(board), intervals=True)
    names = unreliable(board)
    weak = {i for i, head in enumerate(s.heads) if head in names}

    def line(cells: list[str], tag: str = "td") -> str:
        kinds = [' class="word"' if i in s.left else ' class="weak"' if i in weak else "" for i in range(len(cells))]
        return "".join(f"<{tag}{k}>{html.escape(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True))

    bodies = [
        f'<tbody class="{kind}">\n' + "\n".join(f"<tr>{line(m)}</tr>" for m in block) + "\n</tbody>"
        for kind, block in (("methods", s.methods), ("controls", s.controls))
        if block
    ]
    style = (
        ".xaibench{border-collapse:collapse;font:14px/1.4 sans-serif;font-variant-numeric:tabular-nums}"
        ".xaibench caption{text-align:left;font-weight:600;padding:.3em}"
        ".xaibench th,.xaibench td{text-align:right;padding:.2em .6em;white-space:nowrap}"
        ".xaibench .weak{color:#888}.xaibench .word{text-align:left}"
        ".xaibench thead,.xaibench tbody{border-bottom:1px solid}"
        ".xaibench .controls{font-style:italic}.xaibench tfoot td{text-align:left;white-space:normal}"
    )
    foot = "<br>".join(html.escape(n) for n in notes(board))
    return "\n".join(
        [
            f"<style>{style}</style>",
            '<table class="xaibench">',
            f"<caption>{html.escape(heading(board))}</caption>",
            f"<thead><tr>{line(s.heads, 'th')}</tr></thead>",
            *bodies,
            f'<tfoot><tr><td colspan="{len(s.heads)}">{foot}</td></tr></tfoot>',
            "</table>",
            "",
        ]
    )


def rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One dictionary per row with the columns of ``leaderboard.csv``; None where there is no number."""
    found: list[dict[str, Any]] = [
        {n: getattr(r, n) for n in ("rank", "method", "family", "control", "coverage")} for r in board.rows
    ]
    for c in board.columns:
        low, high = board.interval(c)
        for line, *values in zip(found, board.mean(c), low, high, strict=True):
            line |= zip((c.name, f"{c.name}_lo", f"{c.name}_hi"), map(_plain, values), strict=True)
    for line, r in zip(found, board.rows, strict=True):
        line |= {"mean_rank": _plain(r.mean_rank), "group": r.group}
        line |= {"seconds": _plain(r.seconds), "passes": _plain(r.passes)}
    return found


def _plain(x: float) -> float | None:
    # Eight digits say more than any score knows, and keep the last bits of a sum from looking like a difference.
    return float(f"{x:.8g}") if math.isfinite(x) else None


def _about(board: Leaderboard) -> dict[str, Any]:
    return {n: getattr(board, n) for n in ("dataset", "split", "model", "target")}


def to_csv(boards: Sequence[Leaderboard]) -> str:
    """The columns of ``leaderboard.csv``; with several leaderboards, dataset, split, model and target before them."""
    lines = [(_about(b) if len(boards) > 1 else {}) | line for b in boards for line in rows(b)]
    heads = list(dict.fromkeys(name for line in lines for name in line))
    last = ("mean_rank", "group", "seconds", "passes")  # stay last where a later leaderboard brings further metrics
    text = io.StringIO()
    writer = csv.DictWriter(text, [*(h for h in heads if h not in last), *last], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_json(boards: Sequence[Leaderboard]) -> str:
    """An array with one object per row: dataset, split, model, target, then the columns of ``leaderboard.csv``."""
    lines = [_about(b) | line for b in boards for line in rows(b)]
    return json.dumps(lines, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_EACH: dict[str, Callable[..., str]] = {
    "table": to_table,
    "markdown": to_markdown,
    "latex": to_latex,
    "html": to_html,
}
_HTML_HEAD = '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>xaibench leaderboard</title>\n'
FORMATS = (*_EACH, "csv", "json")


def render(boards: Sequence[Leaderboard], format: str = "table", *, wide: bool = False) -> str:
    """Leaderboards in one of :data:`FORMATS`; ``wide`` shows all columns, which csv and json always do.

    Raises:
        UserError: for another format.
    """
    if format in _EACH:
        text = "\n".join(_EACH[format](b, wide=wide) for b in boards)
        return f"{_HTML_HEAD}{text}" if format == "html" else text
    if format not in FORMATS:
        raise UserError(f"There is no format {format!r}.", f"Take one of {', '.join(FORMATS)}.")
    return to_csv(boards) if format == "csv" else to_json(boards)


def write_leaderboard(store: Store, *, seed: int = 0) -> list[Path]:
    """Write ``leaderboard.csv`` and ``leaderboard.md`` of a run; returns their paths.

    Raises:
        UserError: if the run holds no record or its folder cannot be written.
    """
    boards = read_leaderboards([store], seed=seed)
    paths = [store.root / "leaderboard.csv", store.root / "leaderboard.md"]
    for path, format in zip(paths, ("csv", "markdown"), strict=True):
        write_text(path, render(boards, format))
    return paths
