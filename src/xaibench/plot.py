"""The figures of a run as matplotlib axes, for papers and notebooks; loads no network library.

Each function takes a run (its folder, or the result of :func:`read`) and draws on ``ax`` or on a new figure:

    from xaibench import plot

    ax = plot.curves("runs/drive", "deletion")
    plot.save(ax, "deletion.pdf")

The report has the same figures. Text in saved PDF and SVG files stays text, which an editor can change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xaibench.errors import UserError
from xaibench.leaderboard.run_results import Result, read_results
from xaibench.record import Store
from xaibench.report import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xaibench.leaderboard.leaderboard import Column

Run = str | os.PathLike[str] | Store | Result
CURVES = tuple(figures.CURVE_LABELS)

__all__ = [
    "CURVES",
    "agreement",
    "cost_against_faithfulness",
    "critical_difference",
    "curves",
    "overlay",
    "read",
    "save",
    "thin_against_thick",
]


def read(run: Run, target: str | None = None) -> Result:
    """A run's leaderboard with its records; to draw several figures, read once.

    Args:
        run: its folder.
        target: the explained target; None: ``vessels``, or the only one.

    Raises:
        UserError: if there is no such run, no such target, or the run holds several leaderboards for it.
    """
    if isinstance(run, Result):
        return run
    store = run if isinstance(run, Store) else Store.open(Path(run))
    results = read_results([store], target=target)
    results = [r for r in results if r.board.target == "vessels"] or results
    if len(results) > 1:
        about = "; ".join(f"{r.board.dataset} {r.board.split}, {r.board.model}" for r in results)
        raise UserError(f"{store.root} holds {len(results)} leaderboards: {about}.", "Draw each from a run of its own.")
    return results[0]


def curves(
    run: Run,
    metric: str = "deletion",
    *,
    target: str | None = None,
    methods: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean curve over images with the band of the middle 80 % of the images, one line per method.

    Args:
        run: see :func:`read`.
        metric: one of :data:`CURVES`.
        target: see :func:`read`.
        methods: the lines; by default the first five of the table and the controls prediction, frangi and random.
        ax: the axes to draw on; a new figure if None.

    Raises:
        UserError: for another metric, one that was not measured, or a method that the run does not have.
    """
    if metric not in CURVES:
        raise UserError(f"There are no curves of {metric!r}.", f"There are {', '.join(CURVES)}.")
    result = read(run, target)
    known = [r.method for r in result.board.rows]
    for method in methods or ():
        if method not in known:
            raise UserError(f"The run has no method {method!r}.", f"It has {', '.join(known)}.")
    if figures.column_of(result.board, metric) is None:
        raise UserError(f"The run did not measure {metric}.", f"`xaibench run --metric {metric}` adds it.")
    return _drawn(ax, (5, 4), lambda ax: figures.curves(ax, result, metric, methods).legend(fontsize="small"))


def thin_against_thick(run: Run, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """One point per method: its mean on thin and on thick vessels.

    Raises:
        UserError: if no metric was measured on both.
    """
    board = read(run, target).board
    pair = figures.thin_and_thick(board)
    if pair is None:
        raise UserError(
            "The run measured nothing on both thin and thick vessels.", "`xaibench run --metric auroc-thin auroc-thick`"
        )
    return _drawn(ax, (5, 4.5), lambda ax: figures.thin_against_thick(ax, board, pair))


def cost_against_faithfulness(run: Run, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """Seconds per map against the primary column, with the Pareto front of the methods.

    Raises:
        UserError: if no method has both.
    """
    board = read(run, target).board
    if not figures.pareto(board):
        raise UserError("No method of the run has both a cost and a rank.", "`xaibench run` of a suite measures them.")
    return _drawn(ax, (5, 4.5), lambda ax: figures.cost_against_faithfulness(ax, board))


def critical_difference(run: Run, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """The methods on a line by their mean ranks; bars join those without a significant difference [demsar2006].

    Raises:
        UserError: if no method is ranked.
    """
    board = read(run, target).board
    ranked = sum(r.rank is not None for r in board.rows)
    if not ranked:
        raise UserError("No method of the run is ranked.", "`xaibench leaderboard` shows what is missing.")
    return _drawn(ax, (8, 1.2 + 0.12 * ranked), lambda ax: figures.critical_difference(ax, board))


def agreement(
    run: Run, *, target: str | None = None, columns: Sequence[Column] | None = None, ax: Axes | None = None
) -> Axes:
    """Kendall's τ between each two metrics' rankings of the methods.

    Args:
        run: see :func:`read`.
        target: see :func:`read`.
        columns: of the leaderboard; by default those that rank at least half of the methods.
        ax: the axes to draw on; a new figure if None.

    Raises:
        UserError: with fewer than two metrics.
    """
    board = read(run, target).board
    chosen = figures.agreeing(board) if columns is None else list(columns)
    if len(chosen) < 2:
        raise UserError("Fewer than two metrics of the run rank its methods.", "Run more methods or metrics.")
    side = min(9.0, 3 + 0.27 * len(chosen))
    return _drawn(ax, (side + 1, side), lambda ax: figures.agreement(ax, board, chosen))


def overlay(run: Run, method: str, case: str, *, target: str | None = None, ax: Axes | None = None) -> Axes:
    """A method's map over an image of the run, with contours of thin (pink) and thick (white) vessels.

    Args:
        run: its folder or store, which holds the maps.
        method: its name in the leaderboard.
        case: the image's id.
        target: see :func:`read`.
        ax: the axes to draw on; a new figure if None.

    Raises:
        UserError: if the run has no such map, or no picture of the image.
    """
    from xaibench.record.artefact_files import load_picture, picture_key
    from xaibench.report.overlay import outlined
    from xaibench.report.overlay import overlay as drawn

    if isinstance(run, Result):
        raise UserError("A map lies in a run's folder.", "Give the folder instead of what was read from it.")
    store = run if isinstance(run, Store) else Store.open(Path(run))
    record = read(store, target).record(method, case)
    attribution = store.load_map(record) if record is not None else None
    if record is None or attribution is None:
        raise UserError(f"The run has no map of {method} on {case}.", "`xaibench leaderboard` shows what it has.")
    picture = load_picture(store, picture_key(record.case_digest, record.weights_digest))
    if picture is None:
        raise UserError(f"The run keeps no picture of {case}.", "Give the run's command again, which adds it.")
    if picture.fov.shape != attribution.shape:
        raise UserError(f"The run's map of {method} is of another size than its picture of {case}.", "Run it anew.")
    shown = drawn(picture.image, attribution * picture.fov, signed=record.signed)
    ax = _drawn(ax, (4, 4), lambda ax: ax.imshow(outlined(shown, picture.thin, picture.thick)))
    ax.set_axis_off()
    return ax


def save(ax: Axes, path: str | os.PathLike[str]) -> Path:
    """Write the figure of some axes.

    Args:
        ax: any axes of the figure.
        path: its ending chooses the format, such as PDF or SVG.

    Returns:
        The path.

    Raises:
        UserError: if it cannot be written.
    """
    import matplotlib as mpl

    figure = ax.get_figure(root=True)
    if figure is None:
        raise UserError("The axes are on no figure any more.", "Draw them again.")
    try:
        with mpl.rc_context(figures.style()):
            figure.savefig(path, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{os.fspath(path)} cannot be written: {error}.", "Give a name that ends in .pdf or .svg."
        ) from error
    return Path(path)


def _drawn(ax: Axes | None, size: tuple[float, float], draw: Callable[[Axes], object]) -> Axes:
    """The axes, or those of a new figure of that size in inches, once drawn on in the style of the report."""
    import matplotlib as mpl

    with mpl.rc_context(figures.style()):
        if ax is None:
            from matplotlib import pyplot as plt

            ax = plt.subplots(figsize=size, layout="constrained")[1]
        draw(ax)
        return ax
