"""A table of text for the terminal, and as Markdown, LaTeX and HTML; the names of others are escaped in each."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable, Sequence

from xaibench.errors import UserError
from xaibench.leaderboard.tables.numbers import EMPTY, Sheet

FORMATS = ("table", "markdown", "latex", "html", "csv", "json")
_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"
_HTML_HEAD = '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>xaibench leaderboard</title>\n'
_STYLE = (
    ".xaibench{border-collapse:collapse;font:14px/1.4 sans-serif;font-variant-numeric:tabular-nums}"
    ".xaibench caption{text-align:left;font-weight:600;padding:.3em}"
    ".xaibench th,.xaibench td{text-align:right;padding:.2em .6em;white-space:nowrap}"
    ".xaibench .weak{color:#888}.xaibench .word{text-align:left}"
    ".xaibench thead,.xaibench tbody{border-bottom:1px solid}"
    ".xaibench .controls,.xaibench .chance{font-style:italic}"
    ".xaibench .notes td{text-align:left;white-space:normal}"
)
# What LaTeX would read as its own, or not at all without further packages.
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", EMPTY: "--"}
# A row that begins with a bracket would be read as the optional argument of the \\ before it.
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}"}
_LATEX |= {"α": r"$\alpha$", "τ": r"$\tau$", "ρ": r"$\rho$", "·": r"$\cdot$", "×": r"$\times$"}
_LATEX |= {"≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$", "÷": r"$\div$", "±": r"$\pm$"}


def written(format: str, **makers: Callable[[], str]) -> str:
    """What the maker of that format makes.

    Raises:
        UserError: if there is no such format.
    """
    if format not in makers:
        raise UserError(f"There is no format {format!r}.", f"Take one of {', '.join(makers)}.")
    return makers[format]()


def aligned(s: Sheet, *, faint: bool = False) -> str:
    """The cells in columns of one width, under their heads; with ``faint`` what is weak is dimmed by ANSI codes."""
    # "auroc-thin" stands on two lines, since the numbers below it are half as wide.
    split = [h.split("-", 1) if "-" in h and "[" not in h else ["", h] for h in s.heads]
    heads = [[h[i] for h in split] for i in (0, 1)]
    every = [*heads, *s.lines, *s.controls, *([s.foot] if s.foot else [])]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]

    def line(cells: list[str], weak: bool = False) -> str:
        padded = [c.ljust(w) if i in s.left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        padded[-1] = padded[-1].rstrip()
        if faint:
            padded = [f"{_FAINT}{c}{_PLAIN}" if weak or i in s.weak else c for i, c in enumerate(padded)]
        return "  ".join(padded).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    blocks = [
        [line(cells, i in s.weak_lines) for i, cells in enumerate(s.lines)],
        [line(cells) for cells in s.controls],
        [line(s.foot)] if s.foot else [],
    ]
    head = [line(h) for h in heads if any(h)]
    return "\n".join([*head, *(text for block in blocks if block for text in (rule, *block)), rule])


def to_text(s: Sheet, *, width: int | None, faint: bool = False, extra: str = "") -> str:
    """Title, table and notes for a terminal; the notes are wrapped to ``width`` unless it is None."""
    # Names, paths and commands are never broken.
    wrapper = textwrap.TextWrapper(width or 0, break_on_hyphens=False, break_long_words=False)
    said = [line for note in s.notes for line in (wrapper.wrap(note) if width else [note])]
    return "\n".join([s.title, "", aligned(s, faint=faint), *filter(None, [extra]), *said]) + "\n"


def to_markdown(s: Sheet) -> str:
    """A pipe table under a heading, controls and foot in italics."""
    lines = [[_markdown(h) for h in s.heads], [":--" if i in s.left else "--:" for i in range(len(s.heads))]]
    lines += [[_markdown(c) for c in cells] for cells in s.lines]
    apart = [*s.controls, *([s.foot] if s.foot else [])]
    lines += [[f"*{_markdown(c)}*" if c else "" for c in cells] for cells in apart]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    notes = "\n".join(f"* {_markdown(note)}" for note in s.notes)
    return f"## {_markdown(s.title)}\n\n{table}\n\n{notes}\n"


def _markdown(text: str) -> str:
    """The text with what Markdown would read escaped; what stands between backticks is code and stays as it is."""
    parts = re.split(r"(`[^`|]*`)", text)
    return "".join(p if i % 2 else re.sub(r"([\\|*_`])", r"\\\1", p).replace("<", "&lt;") for i, p in enumerate(parts))


def to_latex(s: Sheet) -> str:
    """A booktabs ``tabular``, everything escaped, controls and foot under rules, then the notes in small print."""
    line = lambda cells: " & ".join(_latex(c) for c in cells) + r" \\"
    blocks = [[line(cells) for cells in block] for block in (s.lines, s.controls, [s.foot] if s.foot else []) if block]
    return "\n".join(
        [
            f"% {' '.join(s.title.split())}; needs \\usepackage{{booktabs}}",
            rf"\begin{{tabular}}{{{''.join('l' if i in s.left else 'r' for i in range(len(s.heads)))}}}",
            r"\toprule",
            line(s.heads),
            *(text for block in blocks for text in (r"\midrule", *block)),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\par{{\footnotesize {' '.join(_latex(note) for note in s.notes)}\par}}",
            "",
        ]
    )


def _latex(text: str) -> str:
    text = re.sub(r"(?<![\w-])-(?=[\d.])", "−", text)
    # A letter that no usual font has would keep the table from being set.
    known = (c if c in _LATEX or c == "−" or ord(c) < 0x180 else f"U+{ord(c):04X}" for c in text)
    return "".join(_LATEX.get(c, c) for word in known for c in word).replace("−", "$-$")


def to_html(s: Sheet) -> str:
    """A ``<table>`` that brings its own style and needs nothing else."""

    def line(cells: list[str], tag: str = "td", weak: bool = False) -> str:
        return "".join(f"<{tag}{kind(i, weak)}>{html.escape(c)}</{tag}>" for i, c in enumerate(cells))

    def kind(i: int, weak: bool) -> str:
        words = [*(["word"] if i in s.left else []), *(["weak"] if weak or i in s.weak else [])]
        return f' class="{" ".join(words)}"' if words else ""

    bodies = [
        f'<tbody class="{name}">\n' + "\n".join(block) + "\n</tbody>"
        for name, block in (
            ("methods", [f"<tr>{line(m, weak=i in s.weak_lines)}</tr>" for i, m in enumerate(s.lines)]),
            ("controls", [f"<tr>{line(m)}</tr>" for m in s.controls]),
        )
        if block
    ]
    foot = [f'<tr class="chance">{line(s.foot)}</tr>'] if s.foot else []
    notes = "<br>".join(html.escape(n) for n in s.notes)
    foot.append(f'<tr class="notes"><td colspan="{len(s.heads)}">{notes}</td></tr>')
    return "\n".join(
        [
            f"<style>{_STYLE}</style>",
            '<table class="xaibench">',
            f"<caption>{html.escape(s.title)}</caption>",
            f"<thead><tr>{line(s.heads, 'th')}</tr></thead>",
            *bodies,
            f"<tfoot>{''.join(foot)}</tfoot>",
            "</table>",
            "",
        ]
    )


def html_page(sheets: Sequence[Sheet]) -> str:
    """A self-contained page of tables."""
    return _HTML_HEAD + "\n".join(map(to_html, sheets))
