"""Runs in processes of their own, to which things are done; and what is there afterwards."""

import csv
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xaibench.data.case_loader import load_cases
from xaibench.record.store import Store

PLUGINS = r'''
import os, sys, time, zlib
from xaibench import explainer

def tell(text):
    file = os.open(os.environ["FAULTS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, text.encode())  # in one piece, also with several processes
    os.close(file)

@explainer("logged", family="cam")
def logged(scorer, image, *, rng, seconds: float = 0.0):
    """It keeps a log of its calls."""
    tell(f"{zlib.crc32(image.numpy().tobytes())}\n")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        scorer(image[None])
    return image[1]

@explainer("deaf", family="cam")
def deaf(scorer, image, *, rng):
    """It goes on whatever it is told."""
    tell("deaf\n")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except BaseException:
            return image[1]
    return image[1]
'''
METRICS = ("auroc-vessels", "srg[steps=2]", "passes")
TIMES = ("seconds", "peak_mb", "checksum")


@dataclass
class Lab:
    """A folder with a small network, plugins that are installed there, and runs to be disturbed.

    Attributes:
        folder: where all of it is.
        weights: the network's file.
        methods, cases: what is run.
    """

    folder: Path
    weights: Path
    methods: Sequence[str] = ("logged", "saliency")
    cases: int = 2
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        installed = self.folder / "installed"
        about = installed / "faults-1.0.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        (installed / "faulty_methods.py").write_text(PLUGINS)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 1.0\n")
        names = "\n".join(f"{n} = faulty_methods:{n}" for n in ("logged", "deaf"))
        (about / "entry_points.txt").write_text(f"[xaibench.explainers]\n{names}\n")
        path = os.pathsep.join(p for p in (str(installed), os.environ.get("PYTHONPATH", "")) if p)
        self.env = {**os.environ, "PYTHONPATH": path, "FAULTS_LOG": str(self.log), "OMP_NUM_THREADS": "1"} | self.env

    @property
    def log(self) -> Path:
        return self.folder / "calls.log"

    @property
    def calls(self) -> list[str]:
        """The images of which the method `logged` was asked for a map, in order."""
        return self.log.read_text().split() if self.log.exists() else []

    def argv(self, out: Path, *more: str) -> list[str]:
        what = ["--method", *self.methods, "--metric", *METRICS, "--data", "phantom[size=128]"]
        which = ["--cases", str(self.cases), "--model", str(self.weights), "--device", "cpu", "--out", str(out)]
        return [sys.executable, "-m", "xaibench", "run", *what, *which, *more]

    def start(self, out: Path, *more: str, **how: Any) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
        return subprocess.Popen(self.argv(out, *more), env=self.env, cwd=self.folder, text=True, **pipes)

    def run(self, out: Path, *more: str) -> tuple[int, str, str]:
        process = self.start(out, *more)
        said, complained = process.communicate(timeout=300)
        return process.returncode, said, complained


def python(code: str, *argv: str, **environment: str) -> str:
    """What a process of its own prints, which must end well."""
    command = [sys.executable, "-c", code, *argv]
    ran = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def wait_for(condition: Callable[[], object], seconds: float = 90) -> None:
    """Return as soon as it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def complete(out: Path, scores: int = len(METRICS)) -> dict[Path, int]:
    """The cells that are finished, map and so many scores, and when each was written."""
    found = {}
    for path in out.glob("cells/??/[!.]*.json"):
        try:
            record = json.loads(path.read_bytes())
        except ValueError:
            continue
        done = record["status"] == "skipped" or len(record["scores"]) == scores
        if done and record["status"] != "failed":
            found[path] = path.stat().st_mtime_ns
    return found


def damage(out: Path) -> list[Path]:
    """The files in a run's folder that are not whole."""
    bad: list[Path] = []
    store = Store(out, report=lambda path, reason: bad.append(path))
    good, damaged = store.scan()
    bad += [path for path, _ in damaged]
    for record in good:
        if record.status == "ok" and store.load_map(record) is None:
            bad.append(store.map_path(record.map_key))
    for path in (*out.glob("run.json"), *out.glob("tables/??/[!.]*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            bad.append(path)
    return bad


def numbers(out: Path) -> dict[str, Any]:
    """Everything in a run's folder but what is a time, a size of memory, or made of these."""
    store, found = Store(out), {}
    for path in sorted(out.glob("cells/??/[!.]*.json")):
        record = {k: v for k, v in json.loads(path.read_bytes()).items() if k not in TIMES}
        kept = store.load_map(path.stem)
        found[path.name] = (record, None if kept is None else kept.tobytes())
    for name in ("scores.csv", "leaderboard.csv"):
        with (out / name).open(newline="") as file:
            found[name] = [{k: v for k, v in line.items() if k not in TIMES} for line in csv.DictReader(file)]
    for name in ("segments.csv", "false_positives.csv"):
        found[name] = (out / name).read_text()
    return found


@contextmanager
def failing(name: str, at: int) -> Iterator[None]:
    """Every write of this process from that one on fails, as on a full disk.

    Args:
        name: ``"write_bytes"``, which gets half of it there, or ``"replace"``.
        at: from 1.
    """
    real, count = getattr(Path, name), itertools.count(1)

    def call(self: Path, *args: Any) -> Any:
        if next(count) < at:
            return real(self, *args)
        if name == "write_bytes":
            real(self, args[0][: len(args[0]) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    setattr(Path, name, call)
    try:
        yield
    finally:
        setattr(Path, name, real)


@dataclass
class Tally:
    """What faults did.

    Attributes:
        injected: how many faults there were.
        lost: finished cells that were gone or damaged afterwards.
        twice: finished cells that were computed again.
        corrupt: files that were not whole, when no one was writing.
    """

    injected: int = 0
    lost: int = 0
    twice: int = 0
    corrupt: int = 0


def kill_often(lab: Lab, out: Path, times: int, delay: Callable[[], float]) -> Tally:
    """Kill a run so often, each time so many seconds after it began to write, and have it finished in the end.

    Where it is faster than that, it begins anew in another folder.
    """
    tally, folder, finished, called = Tally(), out, dict[Path, int](), 0
    while True:
        last = tally.injected == times
        code = lab.run(folder)[0] if last else _killed(lab, folder, delay())
        assert code in (0, -signal.SIGKILL), code
        tally.injected += code == -signal.SIGKILL
        now = complete(folder)
        tally.lost += sum(path not in now for path in finished)
        tally.twice += sum(now.get(path, at) != at for path, at in finished.items())
        tally.corrupt += len(damage(folder))
        # Of the method that keeps a log, no image was asked for again whose cell was finished.
        maps = _logged(folder, finished)
        tally.twice += sum(image in maps for image in lab.calls[called:])
        finished, called = now, len(lab.calls)
        if last:
            return tally
        if code == 0:
            folder, finished = folder.with_name(f"{folder.name}+"), {}


def _killed(lab: Lab, out: Path, delay: float) -> int:
    """The exit code of a run that is killed so many seconds after it began to write, if it was not faster."""
    begun = out / "run.json"
    before = begun.stat().st_mtime_ns if begun.exists() else 0
    process = lab.start(out)
    wait_for(lambda: process.poll() is not None or (begun.exists() and begun.stat().st_mtime_ns != before))
    time.sleep(delay)
    process.kill()
    process.communicate()
    return process.returncode


def _logged(out: Path, finished: dict[Path, int]) -> set[str]:
    """What the log calls the images on which `logged` is finished."""
    images = {c.digest: str(zlib.crc32(c.image.numpy().tobytes())) for c in load_cases("phantom[size=128]", count=9)}
    records = [json.loads(path.read_bytes()) for path in finished]
    return {images[r["case_digest"]] for r in records if r["method"] == "logged"}
