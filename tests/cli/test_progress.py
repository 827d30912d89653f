"""Progress in a terminal, in a log, and after Ctrl-C."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.said import Terminal
from xaibench.cli import progress
from xaibench.cli.console import Console
from xaibench.cli.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a test sets, s."""
    clock = SimpleNamespace(time=1000.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.time)
    return clock


def stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return stream


def test_a_bar_shows_what_is_done_and_its_passes(monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace) -> None:
    err = stderr(monkeypatch, Terminal())
    with Progress(3, "cell") as bar:
        bar.now("kernel-shap on 03", "1 pass")
        assert "kernel-shap on 03: 1 pass" in err.getvalue()
        for number in range(2, 1000):
            bar.now("kernel-shap on 03", f"{number} passes")
            clock.time += 0.001  # so that a second goes by
        shown = re.findall(r"(\d+) passes", err.getvalue())
        assert 3 <= len(shown) <= 6  # a few times a second, however many passes there are
        bar.update()
    assert "1/3" in err.getvalue() or "0/3" in err.getvalue()
    assert "\x1b[3" not in err.getvalue() and "\n" not in err.getvalue()  # no colour, one line
    last = err.getvalue().split("\r")
    assert last[-1] == "" and not last[-2].strip()  # wiped


def test_a_line_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace) -> None:
    for columns in (20, 40, 60, 80, 99, 100, 200):
        err = stderr(monkeypatch, Terminal())
        monkeypatch.setenv("COLUMNS", str(columns))
        with Progress(247, "cell") as bar:
            bar.now("kernel-shap[segments=40,samples=300,regions=slic] on 03", "412 passes")
        first, *lines = [line for line in err.getvalue().split("\r") if "247" in line]
        assert first.startswith("  0%") and lines
        assert max(map(len, lines)) <= max(columns, 38)  # counts and time left are never cut
        assert columns < 60 or all("passes" in line for line in lines)
        assert columns < 80 or all(" 03: 412 passes" in line and "kern" in line for line in lines)


def test_what_was_there_already_does_not_make_the_rest_look_quick(
    monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    err = stderr(monkeypatch, io.StringIO())
    with Progress(100, "cell") as bar:
        for _ in range(90):
            bar.update(free=True)
        for _ in range(4):
            clock.time += 10
            bar.update()
    assert err.getvalue().splitlines() == ["93 of 100 cells, 0:30 gone, about 1:10 left, 10.0 s per cell"]


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace) -> None:
    err = stderr(monkeypatch, io.StringIO())
    with Progress(36_000, "step") as bar:
        for step in range(36_000):  # ten hours
            bar.now(f"loss {1 / (step + 1):.3f}")
            clock.time += 1
            bar.update()
    lines = err.getvalue().splitlines()
    assert 60 < len(lines) < 150 and "\r" not in err.getvalue()
    assert lines[0] == "30 of 36000 steps, 0:30 gone, about 9:59:30 left, 1.0 s per step; loss 0.033"
    gone = [re.search(r"(\d+) of", line) for line in lines]
    numbers = [int(g[1]) for g in gone if g]
    assert min(b - a for a, b in pairwise(numbers)) >= 30


@pytest.mark.parametrize(
    ("stream", "term", "quiet"), [(io.StringIO, "xterm", False), (Terminal, "dumb", False), (Terminal, "xterm", True)]
)
def test_short_work_shows_nothing_in_a_log_or_when_quiet(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], term: str, quiet: bool
) -> None:
    err = stderr(monkeypatch, stream())
    monkeypatch.setenv("TERM", term)
    with Console(quiet=quiet).bar(3, "image") as bar:
        assert list(bar.over("abc")) == ["a", "b", "c"]
    assert bar.done == 3 and err.getvalue() == ""


def test_a_note_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    err = stderr(monkeypatch, Terminal())
    console = Console()
    with console.bar(2, "cell") as bar:
        bar.now("gradcam on 01")
        console.note("a note")
        bar.update()
    assert re.search(r"\r +\ra note\n", err.getvalue())


def test_an_interrupted_run_leaves_the_terminal_clean(tmp_path: Path, weights: Path) -> None:
    """Ctrl-C twice in a real terminal: the bar is gone, the cursor at a line's beginning, how to resume is said."""
    ours, theirs = pty.openpty()
    argv = ["run", "--method", "rise[samples=100000]", "--data", "phantom[size=128]", "--cases", "1"]
    argv += ["--model", str(weights), "--metric", "passes", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-m", "xaibench", *argv]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    late = threading.Timer(300, process.kill)
    late.start()
    text = ""

    def read_until(pattern: str) -> None:
        """Read what the terminal shows; OSError if the process ends before it shows the pattern."""
        nonlocal text
        while not re.search(pattern, text):
            part = os.read(ours, 65536)
            if not part:
                raise OSError("the other end is closed")
            text += part.decode(errors="replace")

    read_until(r"rise\[samples=100000\] on \S+: [1-9]\d* passes")
    process.send_signal(signal.SIGINT)
    read_until("stops at once.")
    process.send_signal(signal.SIGINT)
    with pytest.raises(OSError):
        read_until("(?!)")  # which nothing matches
    assert process.wait() == 130, text[-2000:]
    late.cancel()
    os.close(ours)
    after = text[[m.end() for m in re.finditer(r"\d pass(es)?\]", text)][-1] :]
    said = after.replace("\r\n", "\n").split("\r")
    assert not said[-2].strip() and said[-1].startswith("xaibench: Interrupted after "), after
    assert said[-1].endswith("\n") and "Resume with: xaibench run --method" in said[-1]
    assert "\x1b[?25l" not in text and "Traceback" not in text
