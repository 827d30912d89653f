"""One image with the maps of some methods, as a figure for a paper; drawn with matplotlib, without PyTorch."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xaibench.disk import write_whole
from xaibench.report.overlay import PERCENTILE, THICK, THIN, colour_bar, contour, limit_of, overlay, red_free

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXPLAINED, OTHER = THIN, THICK  # outlines of the target and of the other predicted vessels
_SIDE, _SINGLE_SIDE = 3.0, 5.0  # inches, longer side of a picture among others and of a single one
_DPI = (200, 600)  # least and most; in between, a pixel of the image is a pixel of the file
_COLUMNS = 4
_PAGE = 1000  # an outline is one pixel wide per this many pixels of the image's longer side
_GREY = "0.35"


@dataclass(frozen=True)
class Panel:
    """The map of one method.

    Attributes:
        name: of the method.
        attribution: (H, W) float.
        signed: whether negative values are evidence against.
    """

    name: str
    attribution: np.ndarray
    signed: bool


@dataclass(frozen=True)
class Explained:
    """An image, its predicted vessels, and the part of them that was explained.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        fov: (H, W) bool; maps are not drawn outside.
        predicted: (H, W) bool, the predicted vessels.
        target: (H, W) bool, the explained pixels.
        target_name: such as ``"thin vessels"``.
    """

    image: np.ndarray
    fov: np.ndarray
    predicted: np.ndarray
    target: np.ndarray
    target_name: str


def draw(explained: Explained, panels: Sequence[Panel], caption: str) -> Figure:
    """A single map with the outline of the prediction, or several maps beside the image and the prediction.

    Each map has its own limit, at which the colour is full: the 99.5th percentile of its absolute values inside the
    field of view. All maps share one colour bar.

    Args:
        explained: the image and its explained pixels.
        panels: one or more.
        caption: one line below, on the origin of the figure.
    """
    from matplotlib.figure import Figure

    height, width = explained.fov.shape
    single = len(panels) == 1
    count = 1 if single else len(panels) + 2
    # Rows of equal length: 3 + 3 instead of 4 + 2.
    rows = math.ceil(count / _COLUMNS)
    columns = math.ceil(count / rows)
    side = _SINGLE_SIDE if single else _SIDE
    across, down = (max(side * n / max(height, width), side / 4) for n in (width, height))
    titles = [_wrapped(p.name, across) for p in panels]
    head = 0.16 * (max(t.count("\n") for t in titles) + 1) + (0.1 if single else 0.24)
    left, right, foot, gap = 0.1, 0.95 if single else 0.75, 0.55, 0.12
    size = (left + columns * across + (columns - 1) * gap + right, rows * (down + head) + foot)
    dpi = min(max(_DPI[0], math.ceil(width / across)), _DPI[1])
    figure = Figure(figsize=size, dpi=dpi)
    places = []
    for i in range(count):
        row, column = divmod(i, columns)
        box = (left + column * (across + gap), foot + (rows - 1 - row) * (down + head), across, down)
        places.append(figure.add_axes(tuple(np.divide(box, (*size, *size)))))
    if not single:
        _show(places[0], explained.image, "image")
        _show(places[1], _outlined(red_free(explained.image), explained), "prediction")
    limit = 1.0
    for ax, panel, title in zip(places[-len(panels) :], panels, titles, strict=True):
        inside = np.where(explained.fov, panel.attribution, 0)
        limit = limit_of(inside[explained.fov], panel.signed)
        drawn = overlay(explained.image, inside, signed=panel.signed, limit=limit)
        if single:
            _show(ax, _outlined(drawn, explained), title, pad=5)
        else:
            _show(ax, drawn, title, f"full at {_plain(limit)}")
    full = _plain(limit) if single else "full"
    _colour_bar(places[columns - 1], any(p.signed for p in panels), full, across)
    _foot(figure, explained, caption, left, foot)
    return figure


def save(figure: Figure, path: Path, about: Mapping[str, str]) -> None:
    """Write a figure atomically in the format of the path's ending; the same figure gives the same bytes.

    Args:
        figure: see :func:`draw`.
        path: ending in one of :data:`~xaibench.vocabulary.FIGURE_FORMATS`.
        about: ``title`` and ``description``, written into the file if its format has a place for them.

    Raises:
        UserError: if it cannot be written.
    """
    import matplotlib as mpl

    form = path.suffix[1:].lower()
    title, text = about["title"], about["description"]
    metadata = {
        "png": {"Title": title, "Description": text, "Software": "xaibench"},
        "pdf": {"Title": title, "Subject": text, "Creator": "xaibench", "CreationDate": None},
        "svg": {"Title": title, "Description": text, "Creator": "xaibench", "Date": None},
    }
    if form in ("pdf", "svg"):  # original pixels; the printer chooses the resolution
        for ax in figure.axes:
            for picture in ax.images:
                picture.set_interpolation("none")
    with mpl.rc_context({"svg.hashsalt": "xaibench", "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # of a name in a script that the font lacks
        if form in metadata:
            figure.savefig(content := io.BytesIO(), format=form, metadata=metadata[form])
        else:
            figure.savefig(content := io.BytesIO(), format=form, pil_kwargs={"quality": 95})
    write_whole(path, content.getvalue())


def _show(ax: Axes, picture: np.ndarray, title: str, subtitle: str = "", *, pad: float = 14) -> None:
    ax.imshow(picture)
    ax.set_axis_off()
    ax.annotate(
        subtitle, (0.5, 1), (0, 3), "axes fraction", "offset points", fontsize=7, color=_GREY, ha="center", va="bottom"
    )
    ax.set_title(title, fontsize=9, pad=pad, parse_math=False)


def _outlined(picture: np.ndarray, explained: Explained) -> np.ndarray:
    """The picture with the outlines of the target and of the other predicted vessels."""
    drawn = picture.copy()
    other = explained.predicted & ~explained.target
    width = max(1, round(max(other.shape) / _PAGE))
    drawn[contour(other, width) & ~explained.target] = OTHER
    drawn[contour(explained.target, width) & ~other] = EXPLAINED
    return drawn


def _colour_bar(beside: Axes, signed: bool, full: str, across: float) -> None:
    """The colour norm at the right of a picture, of the same height."""
    bar = beside.inset_axes((1 + 0.1 / across, 0.02, 0.11 / across, 0.96))
    bar.imshow(colour_bar(signed, 256)[::-1, None], aspect="auto", extent=(0, 1, -1 if signed else 0, 1))
    bar.set_xticks([])
    bar.set_yticks([-1, 0, 1] if signed else [0, 1], [f"−{full}", "0", full] if signed else ["0", full])
    bar.yaxis.tick_right()
    bar.tick_params(length=2, labelsize=7, pad=2)


def _foot(figure: Figure, explained: Explained, caption: str, left: float, foot: float) -> None:
    """The legend of outlines and colours, and the caption; ``left`` and ``foot`` are margins, inches."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()

    def line(colour: tuple[int, int, int], label: str) -> Line2D:
        return Line2D([], [], color=f"#{bytes(colour).hex()}", linewidth=2, label=label)

    handles = [line(EXPLAINED, f"explained: {explained.target_name}")]
    if (explained.predicted & ~explained.target).any():
        handles.append(line(OTHER, "other predicted vessels"))
    legend = mpl.rc_params_from_file(Path(__file__).with_name("legend.mplstyle"), use_default_template=False)
    with mpl.rc_context(legend):
        figure.legend(handles=handles, bbox_to_anchor=(left / width, (foot - 0.06) / height), ncols=2)
    lines = [f"Colour is full at the {PERCENTILE:g}th percentile of |attribution| in the field of view.", caption]
    at = (left / width, (foot - 0.28) / height)
    # Dollar signs in a file's name would start a formula.
    figure.text(*at, "\n".join(lines), parse_math=False, va="top", fontsize=6.5, color=_GREY)


def _wrapped(name: str, inches: float) -> str:
    """A method's name in lines that fit above its picture, with breaks after commas and before brackets."""
    width = max(int(inches / 0.075), 12)
    lines, line = [], ""
    for piece in name.replace(",", ", ").replace("[", " [").split(" "):
        if line and len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        line += piece
    return "\n".join([*lines, line])


def _plain(value: float) -> str:
    """Three digits, such as ``0.0123`` or ``1.2×10⁻⁵``."""
    text = f"{value:.3g}"
    mantissa, e, exponent = text.partition("e")
    digits = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"{mantissa}×10{str(int(exponent)).translate(digits)}" if e else text
