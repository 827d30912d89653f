"""``xaibench run`` on workers: with processes that are really started, interrupted and killed."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from faults import numbers, wait_for
from running.by_hand import ByHand, end_group, environment

from cli.said import CELLS, METHODS, Run


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ByHand]:
    hand = ByHand(tmp_path_factory.mktemp("by-hand"))
    hand.worker()
    yield hand
    hand.end()


def in_a_process(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "xaibench", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def cells(folder: str) -> int:
    return len(list(Path(folder).glob("cells/*/*.json")))


def of_session(leader: int) -> list[int]:
    """The processes that one with a session of its own has left behind."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
            continue
    return found


def test_two_processes_give_the_table_of_one(xaibench: Run, small: Sequence[str], finished: Path) -> None:
    said = xaibench("run", *small, "--workers", "2", "--out", "there")
    assert said.code == 0 and "2 workers on this machine" in said.err
    assert numbers(Path("there")) == numbers(finished)
    assert f"{CELLS - 2} computed, 0 kept, 2 skipped" in said.err
    again = xaibench("run", *small, "--workers", "2", "--out", "there")
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


def test_a_cluster_is_joined_by_file_or_address(
    xaibench: Run, small: Sequence[str], finished: Path, there: ByHand
) -> None:
    for way in (("--scheduler-file", str(there.file), "--cases", "1"), ("--scheduler", there.address)):
        said = xaibench("run", *small, *way, "--out", "there")
        assert said.code == 0 and f"Workers of {there.address}" in said.err and "not encrypted" not in said.err
    assert numbers(Path("there")) == numbers(finished)


def test_an_open_way_to_a_cluster_is_warned_of(xaibench: Run, small: Sequence[str]) -> None:
    answer = xaibench("run", *small, "--scheduler", "tcp://192.0.2.1:8786", "--dry-run", "-q")
    assert answer.code == 0 and "The way to tcp://192.0.2.1:8786 is not encrypted" in answer.err


def test_another_number_of_threads_is_warned_of(xaibench: Run, small: Sequence[str], finished: Path) -> None:
    before = json.loads((finished / "run.json").read_text())["machine"]["threads"]
    answer = xaibench("run", *small, "--threads", str(before + 1), "--out", str(finished), "--dry-run")
    assert f"was computed with {before} threads, and now there are {before + 1}" in answer.err
    assert f"--threads {before}" in answer.err
    same = xaibench("run", *small, "--threads", str(before), "--out", str(finished), "--dry-run")
    assert "threads" not in same.err


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_ctrl_c_ends_all_processes_and_the_run_resumes(
    xaibench: Run, small: Sequence[str], finished: Path, times: int
) -> None:
    process = in_a_process("run", *small, "--workers", "2", "--out", "there")
    try:
        wait_for(lambda: cells("there") > 1 or process.poll() is not None)
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            time.sleep(0.3)
        _out, err = process.communicate(timeout=30)
        # The second one may find the run ended, and Python at its own end.
        assert process.returncode == 130 or (times == 2 and process.returncode == -signal.SIGINT), err
        assert "Interrupted after" in err and "Traceback" not in err and "distributed" not in err
        resume = shlex.split(err.partition("Resume with: ")[2].splitlines()[0])
        wait_for(lambda: not of_session(process.pid), 10)
    finally:
        end_group(process)
    assert 1 < cells("there") < CELLS
    assert xaibench(*resume[1:]).code == 0
    assert numbers(Path("there")) == numbers(finished)


def test_a_killed_scheduler_ends_the_run_and_it_resumes(
    xaibench: Run, small: Sequence[str], finished: Path, tmp_path: Path
) -> None:
    hand = ByHand(tmp_path)
    process: Any = None
    try:
        hand.worker()
        process = in_a_process("run", *small, "--scheduler-file", str(hand.file), "--out", "there")
        wait_for(lambda: cells("there") > 1 or process.poll() is not None)
        hand.scheduler.kill()
        _out, err = process.communicate(timeout=30)
        assert process.returncode == 1, err
        assert f"The scheduler {hand.address} is gone" in err and "Resume with: xaibench run" in err
        assert "Traceback" not in err
    finally:
        hand.end()
        if process is not None:
            end_group(process)
    kept = cells("there")
    assert 1 < kept < CELLS
    said = xaibench("run", *small, "--out", "there")
    assert said.code == 0 and f"{kept} kept" in said.err
    assert numbers(Path("there")) == numbers(finished)
