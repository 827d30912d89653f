"""What every reader owes to every input: a result, or one clear sentence, soon, and nothing written elsewhere."""

import contextlib
import hashlib
import signal
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from xaibench.errors import UserError

SECONDS = 30  # in which an input is answered, on a slow machine that is busy
inputs: Counter[str] = Counter()  # how many each reader was given
refused: Counter[str] = Counter()  # how many of them it refused


class Hung(BaseException):
    """No answer in time; no Exception, which a reader could take for a damaged file."""


@contextlib.contextmanager
def soon(seconds: int = SECONDS) -> Iterator[None]:
    """Raises :class:`Hung` in the block if it takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answer(reader: str, read: Callable[[], Any], *refusals: type[Exception]) -> Any:
    """What the reader makes of an input; the error where it is refused in one sentence. Anything else is raised.

    Args:
        reader: under whose name the input is counted.
        read: hands it the input.
        refusals: its documented errors, besides UserError.
    """
    inputs[reader] += 1
    with soon(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except (UserError, *refusals) as error:
            check_sentence(error.message if isinstance(error, UserError) else str(error))
            assert getattr(error, "hint", "") == "" or error.hint.isprintable()
            refused[reader] += 1
            return error


@contextlib.contextmanager
def within(megabytes: float) -> Iterator[None]:
    """Memory may grow by no more than this in the block, not even for a moment."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _memory("VmRSS")
    yield
    assert _memory("VmHWM") - before < megabytes


def _memory(what: str) -> float:
    """Memory of this process, MB; 0 on a system that does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) / 1e3 for line in lines if line.startswith(f"{what}:"))


def check_sentence(text: str) -> None:
    """One line that says something, that any terminal shows and any file can hold."""
    assert text.strip() and text.isprintable(), text
    assert "Traceback" not in text and "object at 0x" not in text, text
    text.encode()


@contextlib.contextmanager
def folder(files: Mapping[str, bytes] | None = None) -> Iterator[Path]:
    """A folder ``inside`` another one, in which nothing else may change meanwhile; with these files, by their paths."""
    with TemporaryDirectory() as place:
        inside = Path(place) / "around" / "inside"
        inside.mkdir(parents=True)
        (inside.parent / "neighbour").write_text("mine")
        for name, content in (files or {}).items():
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            (inside / name).write_bytes(content)
        before = snapshot(Path(place), inside)
        yield inside
        assert snapshot(Path(place), inside) == before, "something outside the folder was written"


def snapshot(root: Path, but: Path | None = None) -> dict[str, str]:
    """The names below a folder, each with a digest of what it is, except those below another."""
    found = {}
    for path in root.rglob("*"):
        if but not in path.parents:
            mode = path.lstat().st_mode
            content = path.read_bytes() if stat.S_ISREG(mode) else b""
            found[str(path)] = f"{stat.S_IFMT(mode)} {hashlib.sha256(content).hexdigest()}"
    return found
