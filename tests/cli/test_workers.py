"""``xaibench run`` on workers: with processes that are really started, interrupted and killed."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psutil
import pytest
from faults import numbers, wait_for
from running.by_hand import ByHand, end_group, in_a_session

from cli.said import CELLS, METHODS, Run

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    with closing(ByHand(tmp_path_factory.mktemp("by-hand"))) as hand:
        hand.worker()
        yield hand


@pytest.fixture
def started(small: Sequence[str]) -> Iterator[Start]:
    """Starts the quick run with more options and returns when it has kept cells; it is ended with the test."""
    with ExitStack() as stack:

        def start(*options: str) -> subprocess.Popen[str]:
            argv, pipe = ("run", *small, *options, "--out", "there"), subprocess.PIPE
            process = in_a_session("-m", "xaibench", *argv, text=True, stdout=pipe, stderr=pipe)
            stack.callback(end_group, process)
            wait_for(lambda: cells("there") > 1 or process.poll() is not None)
            return process

        yield start


def cells(folder: str) -> int:
    return len(list(Path(folder).glob("cells/*/*.json")))


def of_session(leader: int) -> list[int]:
    """The processes that one with a session of its own has left behind."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess, PermissionError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def test_two_processes_give_the_table_of_one(compute: Run, finished: Path) -> None:
    said = compute("--workers", "2", "--out", "there")
    assert said.code == 0 and "2 workers on this machine" in said.err
    assert numbers(Path("there")) == numbers(finished)
    assert f"{CELLS - 2} computed, 0 kept, 2 skipped" in said.err
    again = compute("--workers", "2", "--out", "there")
    assert again.code == 0 and f"0 computed, {CELLS} kept" in again.err and "2 workers" not in again.err


LOCKED = '''
import multiprocessing

held = []

def locked(scorer, image, *, rng):
    """It keeps a lock, as many a library does."""
    held.append(multiprocessing.get_context("spawn").Lock())
    return image[1]

if __name__ == "__main__":
    import xaibench as xb

    found = xb.run([locked], data="phantom[size=128]", cases=1, metrics=["auroc-vessels"], workers=1, out="there")
    print("methods:", found.method.nunique())
'''


def test_locks_of_killed_workers_are_not_talked_of(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(LOCKED)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0 and f"methods: {METHODS}" in done.stdout, done.stderr
    assert "leaked" not in done.stderr and "Warning" not in done.stderr


def test_a_cluster_is_joined_by_file_or_address(compute: Run, finished: Path, there: ByHand) -> None:
    for way in (("--scheduler-file", str(there.file), "--cases", "1"), ("--scheduler", there.address)):
        said = compute(*way, "--out", "there")
        assert said.code == 0 and f"Workers of {there.address}" in said.err and "not encrypted" not in said.err
    assert numbers(Path("there")) == numbers(finished)


def test_an_open_way_to_a_cluster_is_warned_of(compute: Run) -> None:
    answer = compute("--scheduler", "tcp://192.0.2.1:8786", "--dry-run", "-q")
    assert answer.code == 0 and "The way to tcp://192.0.2.1:8786 is not encrypted" in answer.err


def test_another_number_of_threads_is_warned_of(compute: Run, finished: Path) -> None:
    before = json.loads((finished / "run.json").read_text())["machine"]["threads"]
    answer = compute("--threads", str(before + 1), "--out", str(finished), "--dry-run")
    assert f"was computed with {before} threads, and now there are {before + 1}" in answer.err
    assert f"--threads {before}" in answer.err
    same = compute("--threads", str(before), "--out", str(finished), "--dry-run")
    assert "threads" not in same.err


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_ctrl_c_ends_all_processes_and_the_run_resumes(
    xaibench: Run, finished: Path, started: Start, times: int
) -> None:
    process = started("--workers", "2")
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        time.sleep(0.3)
    _out, err = process.communicate(timeout=30)
    # The second one may find the run ended, and Python at its own end.
    assert process.returncode == 130 or (times == 2 and process.returncode == -signal.SIGINT), err
    assert "Interrupted after" in err and "Traceback" not in err and "distributed" not in err
    resume = shlex.split(err.partition("Resume with: ")[2].splitlines()[0])
    wait_for(lambda: not of_session(process.pid), 10)
    assert 1 < cells("there") < CELLS
    assert xaibench(*resume[1:]).code == 0
    assert numbers(Path("there")) == numbers(finished)


def test_a_killed_scheduler_ends_the_run_and_it_resumes(
    compute: Run, finished: Path, started: Start, tmp_path: Path
) -> None:
    with closing(ByHand(tmp_path)) as hand:
        hand.worker()
        process = started("--scheduler-file", str(hand.file))
        hand.scheduler.kill()
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert f"The scheduler {hand.address} is gone" in err and "Resume with: xaibench run" in err
    assert "Traceback" not in err
    kept = cells("there")
    assert 1 < kept < CELLS
    said = compute("--out", "there")
    assert said.code == 0 and f"{kept} kept" in said.err
    assert numbers(Path("there")) == numbers(finished)
