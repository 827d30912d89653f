"""Figures as SVG inside a page: its text stays text, and its ink takes the colour of the page's."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from xaibench.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK = "#010203"  # stands for the page's colour of text, which its style sheet gives


def drawn(draw: Callable[[Figure], object], size: tuple[float, float], name: str) -> str:
    """What is drawn on a figure of that size, in inches, as an ``<svg>`` element.

    Args:
        draw: puts axes on the figure and draws on them.
        size: width and height.
        name: unlike that of any other figure of the page, letters and digits: what its identifiers begin with.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(style(_INK) | {"svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    content = text.getvalue()
    content = content[content.index("<svg") :]
    return re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name), content)


def _tag(tag: str, name: str) -> str:
    """One tag, with its identifiers made the figure's own; what stands between tags, the text, is left alone."""
    tag = tag.replace(_INK, "var(--ink)")
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'href="#', f'href="#{name}-', tag)
    tag = tag.replace("url(#", f"url(#{name}-")
    if tag.startswith("<svg"):
        width = float(re.search(r' width="([\d.]+)pt"', tag)[1])  # type: ignore[index]
        tag = re.sub(r' (width|height)="[\d.]+pt"', "", tag)
        tag = f'{tag[:-1]} style="--width:{width * 96 / 72:.0f}px">'
    return tag
