"""One image and what methods say of it, as a figure that can go into a paper; draws with matplotlib, without torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaibench.report.overlay import PERCENTILE, THICK, THIN, colour_bar, contour, limit_of, overlay, red_free

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXPLAINED, OTHER = THIN, THICK  # outlines of the target and of the other predicted vessels
_SIDE, _ALONE = 3.0, 5.0  # inches, longer side of a picture among others and of one alone
_DPI = (200, 600)  # at least and at most; in between, a pixel of the image is a pixel of the file
_COLUMNS = 4
_PAGE = 1000  # px of an image for each of which an outline is one pixel wide
_GREY = "0.35"


@dataclass(frozen=True)
class Panel:
    """What one method says: its name, its (H, W) map, and whether negative values mean "speaks against"."""

    name: str
    attribution: np.ndarray
    signed: bool


@dataclass(frozen=True)
class Explained:
    """An image, what the network finds in it, and which part of that was explained.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        fov: (H, W) bool; what a map says outside is not drawn.
        found: (H, W) bool, the predicted vessels.
        target: (H, W) bool, what was explained.
        target_name: such as ``"thin vessels"``.
    """

    image: np.ndarray
    fov: np.ndarray
    found: np.ndarray
    target: np.ndarray
    target_name: str


def draw(explained: Explained, panels: Sequence[Panel], caption: str) -> Figure:
    """One map alone with the outline of the prediction; several beside the image and the prediction.

    Each map has its own limit, at which the colour is full: the 99.5th percentile of its absolute values inside the
    field of view. One colour bar holds for all.

    Args:
        explained: what the maps are of.
        panels: one or more.
        caption: one line below, on where this comes from.
    """
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

    height, width = explained.fov.shape
    alone = len(panels) == 1
    count = 1 if alone else len(panels) + 2
    # As even rows as there can be: 3 + 3 rather than 4 + 2.
    rows = math.ceil(count / _COLUMNS)
    columns = math.ceil(count / rows)
    side = _ALONE if alone else _SIDE
    across, down = (max(side * n / max(height, width), side / 4) for n in (width, height))
    titles = [_wrapped(p.name, across) for p in panels]
    head = 0.16 * (max(t.count("\n") for t in titles) + 1) + (0.1 if alone else 0.24)
    left, right, foot, gap = 0.1, 0.95 if alone else 0.75, 0.55, 0.12
    size = (left + columns * across + (columns - 1) * gap + right, rows * (down + head) + foot)
    dpi = min(max(_DPI[0], math.ceil(width / across)), _DPI[1])
    figure = Figure(figsize=size, dpi=dpi)
    grid = GridSpec(
        rows,
        columns,
        figure,
        left=left / size[0],
        right=1 - right / size[0],
        bottom=foot / size[1],
        top=1 - head / size[1],
        wspace=gap / across,
        hspace=head / down,
    )
    places = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(count)]
    if not alone:
        _show(places[0], explained.image, "image")
        _show(places[1], _outlined(red_free(explained.image), explained), "prediction")
    limit = 1.0
    for ax, panel, title in zip(places[-len(panels) :], panels, titles, strict=True):
        inside = np.where(explained.fov, panel.attribution, 0)
        limit = limit_of(inside[explained.fov], panel.signed)
        drawn = overlay(explained.image, inside, signed=panel.signed, limit=limit)
        if alone:
            _show(ax, _outlined(drawn, explained), title, pad=5)
        else:
            _show(ax, drawn, title, f"full at {_plain(limit)}")
    full = _plain(limit) if alone else "full"
    _colour_bar(places[columns - 1], any(p.signed for p in panels), full, across)
    _foot(figure, explained, caption, left, foot)
    return figure


def save(figure: Figure, path: Path, about: Mapping[str, str]) -> None:
    """Write a figure in the format of the path's ending; the same figure gives the same bytes.

    Args:
        figure: see :func:`draw`.
        path: ending in one of :data:`~xaibench.vocabulary.FIGURE_FORMATS`.
        about: ``title`` and ``description``, kept in the file where its format has a place for them.

    Raises:
        OSError: if it cannot be written.
    """
    import matplotlib as mpl

    form = path.suffix[1:].lower()
    title, text = about["title"], about["description"]
    kept: dict[str, dict[str, Any]] = {
        "png": {"Title": title, "Description": text, "Software": "xaibench"},
        "pdf": {"Title": title, "Subject": text, "Creator": "xaibench", "CreationDate": None},
        "svg": {"Title": title, "Description": text, "Creator": "xaibench", "Date": None},
    }
    if form in ("pdf", "svg"):  # pixels as they are: whoever prints it decides on the resolution
        for ax in figure.axes:
            for picture in ax.images:
                picture.set_interpolation("none")
    options: dict[str, Any] = {"pil_kwargs": {"quality": 95}} if form in ("jpg", "jpeg") else {"metadata": kept[form]}
    with mpl.rc_context({"svg.hashsalt": "xaibench", "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font has not
        figure.savefig(path, format=form, **options)


def _show(ax: Axes, picture: np.ndarray, title: str, subtitle: str = "", *, pad: float = 14) -> None:
    ax.imshow(picture)
    ax.set_axis_off()
    if subtitle:
        below: dict[str, Any] = {
            "xycoords": "axes fraction",
            "textcoords": "offset points",
            "ha": "center",
            "va": "bottom",
        }
        ax.annotate(subtitle, (0.5, 1), (0, 3), fontsize=7, color=_GREY, **below)
    ax.set_title(title, fontsize=9, pad=pad, parse_math=False)


def _outlined(picture: np.ndarray, explained: Explained) -> np.ndarray:
    """The picture with the outlines of the target and of the other predicted vessels."""
    drawn = picture.copy()
    other = explained.found & ~explained.target
    drawn[_outline(other) & ~explained.target] = OTHER
    drawn[_outline(explained.target) & ~other] = EXPLAINED
    return drawn


def _outline(mask: np.ndarray) -> np.ndarray:
    """The contour of an (H, W) mask, as wide as is seen at the size of a page: a pixel per thousand."""
    grown: np.ndarray = mask
    for _ in range(max(1, round(max(mask.shape) / _PAGE))):
        grown = grown | contour(grown)
    around: np.ndarray = grown & ~mask
    return around


def _colour_bar(beside: Axes, signed: bool, full: str, across: float) -> None:
    """The norm at the right of a picture, as high as it is."""
    bar = beside.inset_axes((1 + 0.1 / across, 0.02, 0.11 / across, 0.96))
    bar.imshow(colour_bar(signed, 256)[::-1, None], aspect="auto", extent=(0, 1, -1 if signed else 0, 1))
    bar.set_xticks([])
    bar.set_yticks([-1, 0, 1] if signed else [0, 1], [f"−{full}", "0", full] if signed else ["0", full])
    bar.yaxis.tick_right()
    bar.tick_params(length=2, labelsize=7, pad=2)


def _foot(figure: Figure, explained: Explained, caption: str, left: float, foot: float) -> None:
    """What outlines and colours mean, and where the figure comes from; ``left`` and ``foot`` are margins, inches."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()

    def line(colour: tuple[int, int, int], label: str) -> Line2D:
        return Line2D([], [], color=f"#{bytes(colour).hex()}", linewidth=2, label=label)

    handles = [line(EXPLAINED, f"explained: {explained.target_name}")]
    if (explained.found & ~explained.target).any():
        handles.append(line(OTHER, "other predicted vessels"))
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left / width, (foot - 0.06) / height),
        ncols=2,
        fontsize=7,
        borderaxespad=0,
        borderpad=0.3,
        handlelength=1.2,
        columnspacing=1.2,
        facecolor="0.25",  # pink and white are to be seen on it
        edgecolor="none",
        labelcolor="white",
        framealpha=1,
    )
    lines = [f"Colour is full at the {PERCENTILE:g}th percentile of |attribution| in the field of view.", caption]
    # A file's name may have dollar signs, which would begin a formula.
    place: dict[str, Any] = {"parse_math": False, "ha": "left", "va": "top", "fontsize": 6.5, "color": _GREY}
    figure.text(left / width, (foot - 0.28) / height, "\n".join(lines), **place)


def _wrapped(name: str, inches: float) -> str:
    """A method's name in lines that fit above its picture, broken after commas and before brackets."""
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
