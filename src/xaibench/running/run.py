"""Running methods on images and returning their scores: the whole of ``xaibench run`` but for its output."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xaibench.explainers.explain import Method
from xaibench.record.score_table import SCORE_COLUMNS, tidy
from xaibench.running.artefacts.previews import storing_previews
from xaibench.running.artefacts.segment_tables import write_tables
from xaibench.running.events import Event, Listener
from xaibench.running.execute import execute
from xaibench.running.request import Request
from xaibench.running.resolve import Run, resolve
from xaibench.running.threads import computing_with

if TYPE_CHECKING:
    import pandas as pd


def run(
    methods: str | Sequence[Method] = (),
    *,
    report: Callable[[Event], object] = lambda event: None,
    **request: Any,
) -> pd.DataFrame:
    """Compute, store and return the scores of methods and controls.

    Args:
        methods: names such as ``"gradcam[layer=last]"``, or functions ``(scorer, image) -> (H, W)``.
        report: called with an :class:`~xaibench.running.events.Event` after each cell.
        **request: the other fields of :class:`~xaibench.running.request.Request`: ``data``, ``cases``, ``model``,
            ``target``, ``out``, ``force``, ``fail_fast`` …

    Returns:
        One row per score, with the columns of ``scores.csv``.

    Raises:
        UserError: for whatever in the request does not exist or cannot be used.
    """
    import pandas as pd

    resolved = resolve(Request([methods] if isinstance(methods, str) else methods, **request))
    for caution in resolved.cautions():
        warnings.warn(caution, stacklevel=2)
    with resolved.store.locked():
        compute(resolved, " ".join(sys.argv), Listener(report))
    keys = {cell.key for case in resolved.cases for cell in resolved.plan.cells(case.digest)}
    wanted = [r for r in resolved.store.stream() if r.map_key in keys]
    return pd.DataFrame(tidy(wanted), columns=list(SCORE_COLUMNS))


def compute(run: Run, command: str, listener: Listener) -> int:
    """Compute the cells, previews and tables of a run; ``scores.csv`` is written also after an interruption.

    Args:
        run: what to compute; the caller holds the lock of its folder.
        command: stored in ``run.json``.
        listener: follows the run.

    Returns:
        The number of cells with a failure in them.
    """
    run.store.write_run(run.manifest(command))
    try:
        with computing_with(run.options.threads):
            if run.options.cluster is None:
                failures = execute(run, listener)
            else:
                from xaibench.running.dask.submit import distribute  # which imports Dask

                failures = distribute(run, run.options.cluster, listener)
            write_tables(run, storing_previews(run))
            return failures
    finally:
        run.store.write_scores()
