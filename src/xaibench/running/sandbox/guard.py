"""What a third party's method or metric does beside its work: noticed, put back, and told as a failure of its own."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.explainers.explain import seeded_globally
from xaibench.running.sandbox.snapshot import Settings, State, same
from xaibench.running.sandbox.timeout import OutOfTime
from xaibench.scorer import Scorer

_LONGEST = 500  # characters of a reason


class Misbehaved(Exception):
    """What a method did that would have spoilt others; it is undone by then."""


@contextmanager
def guarded(scorer: Scorer, case: Case, chance: int, *, trusted: bool = False) -> Iterator[None]:
    """Let nothing of what happens in the block reach the next one.

    The network, the image, the labels, the target and the settings of the process are compared with what they were, and
    put back where they are not. The global generators are seeded before and put back after, which is no fault. What is
    printed goes to stderr, since stdout is for results.

    Args:
        scorer: network and target; what it is compared with is kept with it, from the first block on.
        case: image and labels.
        chance: seed of the global generators.
        trusted: look at the settings alone: to read all the rest takes a few milliseconds.

    Raises:
        Misbehaved: if something was changed, or the block ended with what is no ``Exception``, such as ``SystemExit``.
        OutOfTime: if the time of the cell was up.
        KeyboardInterrupt: if the user interrupted, be it that the block took no notice.
    """
    state = scorer.cache.get(State, scorer, case)
    settings, ended = Settings(), None
    with _interrupts() as pressed, seeded_globally(chance):
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except BaseException as error:
            ended = error
            if isinstance(error, OutOfTime):
                raise
            if any(pressed) or (pressed and isinstance(error, KeyboardInterrupt)):
                raise KeyboardInterrupt from error
            if not isinstance(error, Exception):
                raise Misbehaved(f"it raised {reason(error)}, which is to end the process") from error
            raise
        finally:
            # Settings first: the comparison of tensors must not run under others.
            found = settings.changed()
            settings.restore()
            found += [] if trusted else state.changed()
            if not trusted and not found:
                state.restore_gradients()
            if found:
                state.restore()
                if not any(pressed) and not isinstance(ended, OutOfTime):
                    also = "" if ended is None else f", after {reason(ended)}"
                    raise Misbehaved(f"it changed {' and '.join(found)}, which was put back{also}") from ended
    if any(pressed):
        raise KeyboardInterrupt


@contextmanager
def leaving_alone(image: Tensor) -> Iterator[None]:
    """Around the call of a method, given the copy of the image that the method gets.

    Raises:
        Misbehaved: if the copy was changed.
    """
    before = image.clone()
    try:
        yield
    finally:
        if not same(image, before):
            raise Misbehaved("it changed the image that it was given, a copy")


def reason(error: BaseException) -> str:
    """An exception in one line that can be written to any file, whatever its own text does."""
    try:
        text = (str(error).splitlines() or [""])[0]
    except Exception:
        text = "it cannot say why"
    # A refusal is a whole sentence, which says who is to do what.
    line = text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


@contextmanager
def _interrupts() -> Iterator[list[bool]]:
    """Ctrl-C in the block, told from a KeyboardInterrupt that a method makes up: for each whether it was to end things.

    Whoever listened before is asked: the entry is true if they raised.
    """
    pressed: list[bool] = []
    before = signal.getsignal(signal.SIGINT)
    # Signals come to the main thread alone; a handler that is ignored or not Python's own stays.
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield pressed
        return
    handler = before

    def hear(number: int, frame: FrameType | None) -> None:
        pressed.append(False)
        try:
            handler(number, frame)
        except BaseException:
            pressed[-1] = True
            raise

    signal.signal(signal.SIGINT, hear)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, handler)
