"""The table printer: a :class:`Sheet` as terminal text, Markdown, LaTeX and HTML; every format escapes the cells."""

import re
import textwrap
from collections.abc import Callable, Container, Sequence

from xaibench.errors import UserError
from xaibench.leaderboard.tables.numbers import EMPTY
from xaibench.leaderboard.tables.sheet import Sheet

TERMINAL_WIDTH = 120  # characters
GAP = "  "  # between two columns of terminal text
_FAINT, _PLAIN = "\x1b[2m", "\x1b[0m"
# Characters that are commands to LaTeX, or that need further packages.
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", EMPTY: "--"}
# A bracket at the start of a row would be the optional argument of the \\ before it.
_LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "[": "{[}", "]": "{]}"}
_LATEX |= {"α": r"$\alpha$", "τ": r"$\tau$", "ρ": r"$\rho$", "·": r"$\cdot$", "×": r"$\times$"}
_LATEX |= {"≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$", "÷": r"$\div$", "±": r"$\pm$"}


def padded(lines: Sequence[Sequence[str]], left: Container[int]) -> list[list[str]]:
    """The cells of each line, padded to the width of their column.

    Args:
        lines: cells, as many in each line.
        left: indices of the columns that are aligned to the left; the others are aligned to the right.

    Example:
        >>> padded([["a", "1"], ["bcd", "23"]], left={0})
        [['a  ', ' 1'], ['bcd', '23']]
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [[c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
            for cells in lines]  # fmt: skip


def split_head(head: str) -> tuple[str, str]:
    """The two lines of a heading: numbers are half as wide as a name such as "auroc-thin"."""
    first, hyphen, second = head.partition("-")
    return (first, second) if hyphen and "[" not in head else ("", head)


def aligned(sheet: Sheet, *, faint: bool = False) -> str:
    """The cells of a sheet in aligned columns under their headings.

    Args:
        sheet: the table.
        faint: dim weak columns and lines with ANSI codes.
    """
    heads = [line for line in zip(*map(split_head, sheet.heads), strict=True) if any(line)]
    cells = padded([*heads, *(line for block in sheet.blocks for line in block)], sheet.left)
    rule = "─" * len(GAP.join(cells[0]))
    lines = iter(cells)

    def printed(weak: bool = False) -> str:
        *first, last = next(lines)
        line = [*first, last.rstrip()]
        if faint:
            line = [f"{_FAINT}{c}{_PLAIN}" if weak or i in sheet.weak else c for i, c in enumerate(line)]
        return GAP.join(line).rstrip()

    text = [printed() for _ in heads]
    for block in sheet.blocks:
        text += [rule, *(printed(block is sheet.lines and i in sheet.weak_lines) for i in range(len(block)))]
    return "\n".join([*text, rule])


def to_text(sheet: Sheet, *, width: int | None, faint: bool = False) -> str:
    """Title, table and notes for a terminal.

    Args:
        sheet: the table.
        width: characters after which notes are wrapped; None: never.
        faint: dim weak columns and lines with ANSI codes.
    """
    # Names, paths and commands stay whole.
    wrapper = textwrap.TextWrapper(width or 0, break_on_hyphens=False, break_long_words=False)
    notes = [line for note in sheet.notes for line in (wrapper.wrap(note) if width else [note])]
    return "\n".join([sheet.title, "", aligned(sheet, faint=faint), *notes]) + "\n"


def to_markdown(sheet: Sheet) -> str:
    """A pipe table under a heading, controls and foot in italics."""
    lines = [
        [_markdown(h) for h in sheet.heads],
        [":--" if i in sheet.left else "--:" for i in range(len(sheet.heads))],
    ]
    lines += [[_markdown(c) for c in line] for line in sheet.lines]
    italic = [*sheet.controls, *([sheet.foot] if sheet.foot else [])]
    lines += [[f"*{_markdown(c)}*" if c else "" for c in line] for line in italic]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"* {_markdown(note)}" for note in sheet.notes)
    return f"## {_markdown(sheet.title)}\n\n{table}\n\n{notes}\n"


def _markdown(text: str) -> str:
    """The text with Markdown's special characters escaped, except in code between backticks."""
    parts = re.split(r"(`[^`|]*`)", text)
    return "".join(p if i % 2 else re.sub(r"([\\|*_`])", r"\\\1", p).replace("<", "&lt;") for i, p in enumerate(parts))


def to_latex(sheet: Sheet) -> str:
    """A booktabs ``tabular``, with controls and foot under rules and the notes in small print."""
    line = lambda cells: " & ".join(map(_latex, cells)) + r" \\"
    columns = "".join("l" if i in sheet.left else "r" for i in range(len(sheet.heads)))
    lines = [
        f"% {' '.join(sheet.title.split())}; needs \\usepackage{{booktabs}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        line(sheet.heads),
    ]
    for block in sheet.blocks:
        lines += [r"\midrule", *map(line, block)]
    notes = rf"\par{{\footnotesize {' '.join(map(_latex, sheet.notes))}\par}}"
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", notes, ""])


def _latex(text: str) -> str:
    text = re.sub(r"(?<![\w-])-(?=[\d.])", "−", text)
    # LaTeX stops at a letter that its font lacks.
    letters = (c if c in _LATEX or c == "−" or ord(c) < 0x180 else f"U+{ord(c):04X}" for c in text)
    return "".join(_LATEX.get(c, c) for word in letters for c in word).replace("−", "$-$")


def to_html(sheets: Sequence[Sheet]) -> str:
    """A page of tables that brings its own style."""
    from jinja2 import Environment, PackageLoader

    loader = PackageLoader("xaibench.leaderboard.tables")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("tables.html").render(sheets=sheets)


def write_sheets(
    sheets: Callable[[], Sequence[Sheet]],
    format: str,
    *,
    width: int | None = TERMINAL_WIDTH,
    faint: bool = False,
    **data: Callable[[], str],
) -> str:
    """Several tables in one format.

    Args:
        sheets: makes the tables; not called for the formats of ``data``.
        format: one of :data:`~xaibench.vocabulary.TABLE_FORMATS`.
        width: of the terminal, characters; None: unlimited.
        faint: dim weak columns and lines with ANSI codes in the format ``"table"``.
        data: writers of the formats that hold numbers, by name: ``csv``, ``json``.

    Raises:
        UserError: if there is no such format.
    """
    writers: dict[str, Callable[[], str]] = {
        "table": lambda: "\n".join(to_text(s, width=width, faint=faint) for s in sheets()),
        "markdown": lambda: "\n".join(map(to_markdown, sheets())),
        "latex": lambda: "\n".join(map(to_latex, sheets())),
        "html": lambda: to_html(sheets()),
        **data,
    }
    if format not in writers:
        raise UserError(f"There is no format {format!r}.", f"Take one of {', '.join(writers)}.")
    return writers[format]()
