"""Progress of a command: a bar in a terminal, a line at long intervals elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NoReturn, TypeVar

from xaibench.errors import plural

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")

_REFRESH = 0.2  # s between two updates of the bar
_SILENCE = 30.0  # s between two log lines, at least
_SPARSE = 20  # a line each twentieth of the elapsed time: a log of hours has a hundred lines, not thousands
_COUNTS = 46  # characters of a line beside the bar and the current item
_BAR = 16  # characters of the bar: a fixed width, so that the numbers stay in place
_WIDE = 100  # columns from which on the bar is shown
_LEAST = 8  # characters: a shorter name of the current item is left out


class Progress:
    """Progress of a known number of items, on stderr.

    In a terminal: a bar of one line, removed at the end and after an interruption. Where stderr is a file or a pipe: a
    line every 30 seconds, later every twentieth of the elapsed time. No colours and no other thread.

    Args:
        total: number of items.
        unit: name of an item, in the singular.
        quiet: show nothing.
    """

    def __init__(self, total: int, unit: str, *, quiet: bool = False) -> None:
        self.total, self.done = total, 0
        self._unit = unit
        self._free = 0  # done without work: not counted in the rate
        self._text, self._detail = "", ""
        self._began = self._shown = time.monotonic()
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._logs = not quiet and not terminal
        self._bar = _bar(total, unit) if terminal and not quiet else None
        if self._bar is not None:
            self._shown -= _REFRESH  # the first item is shown at once

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Iterate over the items; each counts as done when the next is requested."""
        for item in items:
            yield item
            self.update()

    def update(self, by: int = 1, *, free: bool = False) -> None:
        """Count ``by`` more items as done; ``free`` items took no work and do not enter the rate."""
        self.done += by
        self._free += by * free
        if self._bar is not None:
            if free:
                self._bar.initial += by
            self._bar.update(by)
        self._look()

    def now(self, text: str, detail: str = "") -> None:
        """Set the current item and its progress, such as ``"kernel-shap on 03"`` and ``"412 passes"``.

        May be called at any rate: at most five calls a second are shown.
        """
        self._text, self._detail = text, detail
        self._look()

    def passes(self, text: str, count: int, *details: str) -> None:
        """Set the current item, with the number of network passes that it took so far after other details."""
        self.now(text, ", ".join([*details, plural(count, "pass", "es")] if count else details))

    def _look(self) -> None:
        if self._bar is None and not self._logs:
            return
        time_now = time.monotonic()
        gone, silent = time_now - self._began, time_now - self._shown
        if self._bar is not None and silent >= _REFRESH:
            columns = shutil.get_terminal_size().columns  # read each time, since a window can be resized
            self._bar.ncols, self._bar.bar_format = columns, _format(columns)
            room = columns - _COUNTS - _BAR * (columns >= _WIDE)
            self._bar.set_postfix_str(_fitted(self._text, self._detail, room), refresh=False)
            self._bar.refresh()
        elif self._bar is None and silent >= max(_SILENCE, gone / _SPARSE):
            try:
                print(self._line(gone), file=sys.stderr, flush=True)
            except BrokenPipeError:  # nobody reads stderr any more; the work goes on
                self._logs = False
        else:
            return
        self._shown = time_now

    def _line(self, gone: float) -> str:
        parts = [f"{self.done} of {plural(self.total, self._unit)}", f"{_clock(gone)} gone"]
        if worked := self.done - self._free:
            each = gone / worked
            rate = f"{each:.1f} s per {self._unit}" if each >= 1 else f"{1 / each:.1f} {self._unit}s/s"
            parts += [f"about {_clock(each * (self.total - self.done))} left", rate]
        doing = self._text + (f": {self._detail}" if self._detail else "")
        return ", ".join(parts) + (f"; {doing}" if doing else "")


def _bar(total: int, unit: str) -> tqdm[NoReturn]:
    from tqdm import tqdm

    size = shutil.get_terminal_size()  # has defaults for terminals without a size
    return tqdm(
        total=total,
        unit=unit,
        file=sys.stderr,
        ncols=size.columns,
        nrows=size.lines,
        leave=False,
        smoothing=0,  # fast and slow methods alternate: only the mean over all predicts the time left
        mininterval=_REFRESH,
        bar_format=_format(size.columns),
    )


def _format(columns: int) -> str:
    bar = f"|{{bar:{_BAR}}}|" if columns >= _WIDE else ""
    return f"{{percentage:3.0f}}%{bar} {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}, {{rate_fmt}}{{postfix}}]"


def _fitted(text: str, detail: str, room: int) -> str:
    """Text and detail in ``room`` characters; the text is shortened, since the detail is what changes.

    Example:
        >>> _fitted("kernel-shap[segments=40] on 03", "412 passes", 32)
        'kernel-shap[s… on 03: 412 passes'
    """
    tail = f": {detail}" if detail else ""
    space = room - len(tail)
    if space < _LEAST:
        return detail[: max(room, 0)]
    end = space // 3
    return (text if len(text) <= space else f"{text[: space - 1 - end]}…{text[-end:]}") + tail


def _clock(seconds: float) -> str:
    """Such as ``0:07``, ``12:30`` or ``3:05:00``.

    Example:
        >>> _clock(7.4), _clock(750), _clock(11100)
        ('0:07', '12:30', '3:05:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
