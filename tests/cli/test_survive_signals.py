"""Real processes that are killed and interrupted. Many more of them are in tests/soak."""

import os
import random
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from faults import Lab, complete, damage, kill_often, numbers, wait_for

from cli.said import CELLS

LONG = "logged[seconds=2.5]"


def test_a_run_that_is_killed_goes_on_where_it_was(lab: Lab, undisturbed: Any) -> None:
    chance = random.Random(0)
    tally = kill_often(lab, lab.folder / "run", 2, lambda: chance.uniform(0.3, 0.8))
    assert (tally.injected, tally.lost, tally.twice, tally.corrupt) == (2, 0, 0, 0)
    assert numbers(lab.folder / "run") == undisturbed


def interrupt_in_a_cell(lab: Lab, out: Path, method: str = LONG, **how: Any) -> subprocess.Popen[str]:
    lab.methods = (method,)
    process = lab.start(out, **how)
    wait_for(lambda: lab.calls or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    return process


@pytest.mark.alone
def test_control_c_once_finishes_the_cell(lab: Lab) -> None:
    out = lab.folder / "run"
    process = interrupt_in_a_cell(lab, out)
    pressed = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert "Stopping when logged[seconds=2.5] on phantom-0000 is finished; Ctrl-C again stops at once." in err
    assert err.splitlines()[-1].startswith(f"xaibench: Interrupted after 1 of {CELLS} cells, which are kept in {out}.")
    assert time.monotonic() - pressed > 1  # it was in the middle of the cell
    assert len(complete(out)) == 1 and damage(out) == [] and not list(out.rglob("*.tmp"))
    assert "logged" in (out / "leaderboard.md").read_text() and "logged" in (out / "scores.csv").read_text()
    # Going on as the last line says leaves a complete run.
    assert shlex.split(err.partition("Resume with: ")[2]) == ["xaibench", *lab.argv(out)[3:]]
    before, lab.methods = complete(out), ("sobel",)  # enough to see what is kept, and to end soon
    code, _, said = lab.run(out)
    assert code == 0 and damage(out) == [], said
    assert before.items() <= complete(out).items()


@pytest.mark.parametrize(
    "method",
    [pytest.param(LONG, marks=pytest.mark.alone), pytest.param("deaf", marks=pytest.mark.soak)],
    ids=["a long cell", "a method that swallows it"],
)
def test_control_c_twice_stops_at_once(lab: Lab, method: str) -> None:
    out = lab.folder / "run"
    process = interrupt_in_a_cell(lab, out, method)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    pressed = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert method != LONG or time.monotonic() - pressed < 1.5  # seconds before the cell would have been finished
    assert process.returncode == 130 and "Traceback" not in err
    assert f"Interrupted after 0 of {CELLS} cells" in err.splitlines()[-1]
    assert complete(out) == {} and damage(out) == [] and not list(out.rglob("*.tmp"))


@pytest.mark.soak
@pytest.mark.parametrize("leaves", [False, True], ids=["who reads on", "who leaves"])
def test_control_c_for_the_whole_pipe(lab: Lab, leaves: bool) -> None:
    """A terminal sends it to all processes of a pipe: the reader may be gone before the last words."""
    out = lab.folder / "run"
    reader, writer = os.pipe()
    process = interrupt_in_a_cell(lab, out, stdout=writer, stderr=writer)
    os.close(writer)
    if leaves:
        os.close(reader)
    assert process.wait(timeout=60) == 130
    if not leaves:
        with os.fdopen(reader) as pipe:
            assert "Resume with: xaibench run" in pipe.read().splitlines()[-1]
    assert len(complete(out)) == 1 and damage(out) == []
    assert (out / "leaderboard.csv").exists()


@pytest.mark.soak
def test_a_process_that_was_told_to_ignore_it_goes_on(lab: Lab) -> None:
    """As in ``nohup`` or a background job of a script."""
    lab.methods, lab.cases = ("logged[seconds=0.5]",), 1
    script = f"trap '' INT; exec {shlex.join(lab.argv(lab.folder / 'run', '-q'))}"
    process = subprocess.Popen(["sh", "-c", script], env=lab.env, cwd=lab.folder, stdout=subprocess.DEVNULL)
    wait_for(lambda: lab.calls or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
