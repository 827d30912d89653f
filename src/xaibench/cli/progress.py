"""What is being done, how much is left and at what rate: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

_REFRESH = 0.2  # s between two looks of a bar
_SILENCE = 30.0  # s between two lines of a log, at least
_SPARSE = 20  # a line each twentieth of the time gone, so that a log of hours has a hundred lines and not thousands
_COUNTS = 46  # characters of a line that are neither a bar nor what is being done
_BAR = 16  # characters of the bar, in terminals that are wide enough: the same for all, so that numbers stand still
_WIDE = 100  # columns
_LEAST = 8  # characters of what is being done that still say something


class Progress:
    """Progress of a known number of things, on stderr.

    In a terminal a bar of one line that is gone at the end, also after an interruption. Where stderr is a file or a
    pipe a line every 30 seconds, later every twentieth of the time gone. No colours, and no other thread.

    Args:
        total: how many.
        unit: what they are, in the singular.
        quiet: show nothing.
    """

    def __init__(self, total: int, unit: str, *, quiet: bool = False) -> None:
        self.total, self.done = total, 0
        self._unit = unit
        self._free = 0  # done without work, which would make the rest look as quick
        self._text, self._detail = "", ""
        self._began = self._shown = time.monotonic()
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._logs = not quiet and not terminal
        self._bar = _bar(total, unit) if terminal and not quiet else None
        if self._bar is not None:
            self._shown -= _REFRESH  # the first thing that is being done is seen at once

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each done when the next is asked for."""
        for item in items:
            yield item
            self.update()

    def update(self, by: int = 1, *, free: bool = False) -> None:
        """So many more are done; ``free`` if that took no work, so that the rate does not count them."""
        self.done += by
        self._free += by * free
        if self._bar is not None:
            if free:
                self._bar.initial += by
            self._bar.update(by)
        self._look()

    def now(self, text: str, detail: str = "") -> None:
        """What is being done, and how far that is, such as ``"kernel-shap on 03"`` and ``"412 passes"``.

        It may be called as often as there is something new: a few calls in a second are shown.
        """
        self._text, self._detail = text, detail
        self._look()

    def _look(self) -> None:
        if self._bar is None and not self._logs:
            return
        time_now = time.monotonic()
        gone, silent = time_now - self._began, time_now - self._shown
        if self._bar is not None and silent >= _REFRESH:
            columns = shutil.get_terminal_size().columns  # anew, since a window can be resized
            self._bar.ncols, self._bar.bar_format = columns, _format(columns)
            room = columns - _COUNTS - _BAR * (columns >= _WIDE)
            self._bar.set_postfix_str(_fitted(self._text, self._detail, room), refresh=False)
            self._bar.refresh()
        elif self._bar is None and silent >= max(_SILENCE, gone / _SPARSE):
            try:
                print(self._line(gone), file=sys.stderr, flush=True)
            except BrokenPipeError:  # nobody reads any more, which is no reason to end what is being done
                self._logs = False
        else:
            return
        self._shown = time_now

    def _line(self, gone: float) -> str:
        plural = "" if self.total == 1 else "s"
        parts = [f"{self.done} of {self.total} {self._unit}{plural}", f"{_clock(gone)} gone"]
        if worked := self.done - self._free:
            each = gone / worked
            rate = f"{each:.1f} s per {self._unit}" if each >= 1 else f"{1 / each:.1f} {self._unit}s/s"
            parts += [f"about {_clock(each * (self.total - self.done))} left", rate]
        doing = self._text + (f": {self._detail}" if self._detail else "")
        return ", ".join(parts) + (f"; {doing}" if doing else "")


def _bar(total: int, unit: str) -> Any:
    from tqdm import tqdm

    size = shutil.get_terminal_size()  # which knows what to take where a terminal does not say
    return tqdm(
        total=total,
        unit=unit,
        file=sys.stderr,
        ncols=size.columns,
        nrows=size.lines,
        leave=False,
        smoothing=0,  # cells come in turn from quick and slow methods: only the mean over all tells what is left
        mininterval=_REFRESH,
        bar_format=_format(size.columns),
    )


def _format(columns: int) -> str:
    bar = f"|{{bar:{_BAR}}}|" if columns >= _WIDE else ""
    return f"{{percentage:3.0f}}%{bar} {{n_fmt}}/{{total_fmt}} [{{elapsed}}<{{remaining}}, {{rate_fmt}}{{postfix}}]"


def _fitted(text: str, detail: str, room: int) -> str:
    """Text and detail in so many characters: what is cut out is of the text, since the detail is what changes.

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
