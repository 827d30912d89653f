"""A run and a resume where POSIX's calls and ``/proc`` are missing, as on Windows or in a browser."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from faults import damage, numbers
from running.by_hand import environment

from cli.said import CELLS

WITHOUT = """
import os, pathlib, signal, sys

sys.modules["fcntl"] = None  # its import fails
for module, names in {
    os: ("O_CLOEXEC", "O_NONBLOCK", "pread", "pwrite", "sched_setaffinity", "sched_getaffinity"),
    signal: ("SIGALRM", "SIGKILL", "SIGHUP", "setitimer", "getitimer", "ITIMER_REAL", "pthread_sigmask"),
}.items():
    for name in names:
        delattr(module, name)


def without_proc(method):
    def of_a_path(path, *arguments, **named):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return method(path, *arguments, **named)

    return of_a_path


for name in ("open", "stat", "read_text", "write_text", "iterdir"):
    setattr(pathlib.Path, name, without_proc(getattr(pathlib.Path, name)))
pathlib.Path.is_dir = lambda path, is_dir=pathlib.Path.is_dir: not str(path).startswith("/proc") and is_dir(path)

from xaibench.cli.main import main

sys.exit(main(sys.argv[1:]))
"""


def test_a_run_and_a_resume_need_no_posix(small: Sequence[str], finished: Path) -> None:
    def xaibench(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT, "run", *small, "--out", "run", *options]
        return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)

    first = xaibench("--cases", "1")
    assert first.returncode == 0 and f"{CELLS // 2 - 1} computed, 0 kept, 1 skipped, 0 failed" in first.stderr
    assert "run cannot be locked (this system has no locks)" in first.stderr and "Traceback" not in first.stderr
    resumed = xaibench()
    assert resumed.returncode == 0 and f"{CELLS // 2 - 1} computed, {CELLS // 2} kept" in resumed.stderr, resumed.stderr
    assert damage(Path("run")) == [] and numbers(Path("run")) == numbers(finished)
    limited = xaibench("--timeout", "9")
    assert limited.returncode == 2 and "main thread of a POSIX process only, or with workers" in limited.stderr
