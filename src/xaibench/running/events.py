"""Progress of a run: an event for each finished cell, and a step for each network pass within a cell."""

from collections.abc import Callable
from dataclasses import dataclass

from xaibench.scorer import Scorer


@dataclass(frozen=True)
class Event:
    """A finished cell.

    Attributes:
        done, total: cells finished, and all cells.
        cell: such as ``"gradcam on 01"``.
        status: ``"ok"``, ``"skipped"``, ``"failed"`` or ``"kept"`` (it was stored already).
        reason: why, of the map or of its first score that failed.
        trace: the traceback of a failure, or "".
    """

    done: int
    total: int
    cell: str
    status: str
    reason: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Step:
    """What a run is computing.

    Attributes:
        cell: such as ``"gradcam on 01"``.
        part: ``"map"``, or the metric that is computed.
        passes: of this part so far.
    """

    cell: str
    part: str
    passes: int


@dataclass(frozen=True)
class Listener:
    """Callbacks that follow a run.

    Attributes:
        report: called after each cell.
        watch: called while a cell is computed, as each of its parts begins and at every pass.
        say: called with sentences about workers.
    """

    report: Callable[[Event], object] = lambda event: None
    watch: Callable[[Step], object] = lambda step: None
    say: Callable[[str], object] = lambda text: None

    def step(self, cell: str, part: str, passes: int) -> None:
        """Call ``watch``."""
        self.watch(Step(cell, part, passes))


def watch_passes(scorer: Scorer, tell: Callable[[str, int], object]) -> Callable[[str], None]:
    """Report every pass of a cell.

    Args:
        scorer: whose passes.
        tell: called with the part of the cell and its passes so far.

    Returns:
        A function to call with the name of each part as it begins.
    """
    part, passes = "", 0

    def passed(images: int) -> None:
        nonlocal passes
        passes += images
        tell(part, passes)

    def begin(name: str) -> None:
        nonlocal part, passes
        part, passes = name, 0
        passed(0)

    scorer.watch = passed
    return begin
