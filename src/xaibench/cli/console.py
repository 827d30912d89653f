"""Output of a command: results to stdout, everything else to stderr."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from xaibench.cli.progress import Progress
from xaibench.errors import one_line


@dataclass(frozen=True)
class Console:
    """The output of one command.

    Attributes:
        quiet: show no progress and no notes.
        verbose: show tracebacks.
        command: the command line, to be shown for a repetition.
    """

    quiet: bool = False
    verbose: bool = False
    command: str = "xaibench"

    @property
    def dims(self) -> bool:
        """Whether weak columns are dimmed: on a terminal that does not refuse colours (no-color.org)."""
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def out(self, text: str) -> None:
        """Print a result. After a broken pipe, as with ``| head``, the work goes on without output."""
        with outliving_reader(sys.stdout):
            print(text.removesuffix("\n"), flush=True)

    def out_json(self, value: object) -> None:
        """Print a result as one strictly valid JSON document."""
        self.out(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))

    def note(self, text: str) -> None:
        """Print a note to stderr, unless ``-q`` was given."""
        if not self.quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Print a warning to stderr, above a progress bar if there is one; also with ``-q``."""
        bars = sys.modules.get("tqdm")
        with outliving_reader(sys.stderr):
            if bars is None:
                print(text, file=sys.stderr, flush=True)
            else:
                bars.tqdm.write(text, file=sys.stderr)

    def left_out(self, path: Path, reason: str) -> None:
        """Warn of a damaged file that is left out."""
        self.warn(one_line(f"{path} is damaged and left out: {reason}."))

    def bar(self, total: int, unit: str) -> Progress:
        """A progress bar on stderr; silent with ``-q``."""
        return Progress(total, unit, quiet=self.quiet)


@contextlib.contextmanager
def outliving_reader(stream: TextIO) -> Iterator[None]:
    """Writing to the stream: if its reader has left, what it still buffers and all later output is discarded."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def plain(value: object) -> object:
    """The value in JSON types: a number that is not finite becomes None, any other object its text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if value is None or isinstance(value, str | int) else str(value)


def table(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> str:
    """Columns under their heads; the first ``left`` columns are left-aligned, the others right-aligned."""
    from xaibench.leaderboard.tables.formats import GAP, padded

    return "\n".join(GAP.join(cells).rstrip() for cells in padded([heads, *lines], range(left)))
