"""Figures as SVG inside a page: text stays text, and its colour follows the page's."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from xaibench.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#010203"  # placeholder for the text colour of the page's style sheet


def drawn(draw: Callable[[Figure], object], size: tuple[float, float], name: str) -> str:
    """A figure as an ``<svg>`` element.

    Args:
        draw: adds axes to the figure and draws on them.
        size: width and height, inches.
        name: unique on the page, letters and digits; the prefix of the element's identifiers.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({**style(_INK), "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    content = text.getvalue()
    content = content[content.index("<svg") :]
    return re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name), content)


def _tag(tag: str, name: str) -> str:
    """One tag with prefixed identifiers; text between tags is not passed to this function."""
    tag = tag.replace(_INK, "var(--ink)")
    tag = re.sub(r'\bid="|href="#|url\(#', rf"\g<0>{name}-", tag)
    if tag.startswith("<svg"):
        width = float(re.search(r' width="([\d.]+)pt"', tag)[1])  # type: ignore[index]
        tag = re.sub(r' (width|height)="[\d.]+pt"', "", tag)
        tag = f'{tag[:-1]} style="--width:{width * 96 / 72:.0f}px">'
    return tag
