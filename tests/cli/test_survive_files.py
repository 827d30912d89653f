"""Files that are damaged, disks that are full or read-only, and two runs in one folder."""

import errno
import fcntl
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import Lab, complete, damage, failing, numbers

from cli.said import CELLS, METHODS, Disk, Run
from xaibench.errors import UserError
from xaibench.record import Record, Store
from xaibench.record.lock import locked


@pytest.fixture
def run(finished: Path) -> Store:
    """A copy of a finished run, to be damaged."""
    shutil.copytree(finished, "run")
    return Store("run")


@pytest.fixture
def again(compute: Run) -> Run:
    return partial(compute, "--out", "run")


def one(store: Store, spec: str = "gradcam") -> Record:
    return next(r for r in store.records() if r.spec == spec)


def without_checksum(content: bytes, other: bytes) -> bytes:
    return json.dumps({k: v for k, v in json.loads(content).items() if k != "checksum"}).encode()


def scaled(content: bytes, other: bytes) -> bytes:
    doubled = io.BytesIO()
    with np.load(io.BytesIO(content)) as file:
        np.savez_compressed(doubled, map=file["map"], scale=file["scale"] * 2)
    return doubled.getvalue()


# From the content of a file, and that of another one of its kind, to the damaged content.
DAMAGED_CELLS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "truncated": lambda content, other: content[:-40],
    "emptied": lambda content, other: b"",
    "edited": lambda content, other: re.sub(rb'"value":[^,]*', b'"value":0.999', content, count=1),
    "laid out anew": lambda content, other: json.dumps(json.loads(content) | {"seconds": 0.001}, indent=1).encode(),
    "without checksum": without_checksum,
    "of another": lambda content, other: other,
}
DAMAGED_MAPS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "map truncated": lambda content, other: content[:-100],
    "map of another": lambda content, other: other,
    "map scaled": scaled,
}


def broken(store: Store, how: str) -> Path:
    """The file that was damaged: the first record of Grad-CAM, or its map."""
    place = store.map_path if how in DAMAGED_MAPS else store.cell_path
    path, other = (place(one(store, spec).map_key) for spec in ("gradcam", "random"))
    path.write_bytes((DAMAGED_CELLS | DAMAGED_MAPS)[how](path.read_bytes(), other.read_bytes()))
    return path


def some(first: Sequence[str], every: Iterable[str]) -> list[Any]:
    """All of them, of which others than the first ones take their time."""
    return [how if how in first else pytest.param(how, marks=pytest.mark.soak) for how in every]


@pytest.mark.parametrize("how", some(("edited", "map of another"), DAMAGED_CELLS | DAMAGED_MAPS))
def test_what_is_damaged_is_said_and_computed_again(again: Run, run: Store, finished: Path, how: str) -> None:
    before = {p: p.stat().st_mtime_ns for p in run.root.glob("cells/*/*.json")}
    key = one(run).map_key
    path = broken(run, how)
    said = again()
    assert said.code == 0 and said.err.count(f"{path} is damaged and counts as missing: ") == 1
    assert f"1 computed, {CELLS - 1} kept, 0 skipped, 0 failed" in said.err
    assert damage(run.root) == [] and numbers(run.root) == numbers(finished)
    changed = {p.stem for p, at in before.items() if p.stat().st_mtime_ns != at}
    assert changed == {key}
    assert "damaged" not in again().err


@pytest.mark.parametrize("how", DAMAGED_CELLS)
def test_a_damaged_record_is_never_averaged_in(xaibench: Run, run: Store, how: str) -> None:
    path = broken(run, how)
    said = xaibench("leaderboard", "run", "--format", "json")
    (line,) = (line for line in json.loads(said.out) if line["method"] == "gradcam")
    assert line["auroc-vessels"] is None and line["rank"] is None and line["coverage"] == 0.5
    assert said.code == 0 and said.err.startswith(f"{path} is damaged and left out: ")


@pytest.mark.parametrize(
    ("command", "how"),
    [
        ("claims run", "truncated"),
        ("report run --no-films", "truncated"),
        ("publish run --out published", "truncated"),
        ("report run --no-films", "map of another"),
        pytest.param("report run --no-films", "map truncated", marks=pytest.mark.soak),
        pytest.param("report run --no-films", "map scaled", marks=pytest.mark.soak),
    ],
)
def test_a_damaged_file_is_named_and_left_out(xaibench: Run, run: Store, command: str, how: str) -> None:
    path = broken(run, how)
    said = xaibench(*command.split())
    assert said.code == 0 and said.err.count(f"{path} is damaged and left out: ") == 1
    if "report" in command:
        assert path.name in Path("run/report.html").read_text("utf-8")
    if "publish" in command:
        assert said.out.startswith(f"{CELLS - 1} records")


def test_a_damaged_map_is_not_scored(again: Run, run: Store) -> None:
    """Also where the file's time does not tell: it is read, and it is another map than the record says."""
    path = broken(run, "map of another")
    at = run.cell_path(path.stem).stat().st_mtime_ns
    os.utime(path, ns=(at - 1, at - 1))
    kept = one(run).map_digest
    said = again("--metric", "mass-vessels")
    assert said.code == 0 and f"{path} is damaged" in said.err and damage(run.root) == []
    assert one(run).map_digest == kept and {s.metric for s in one(run).scores} == {"auroc-vessels", "mass-vessels"}


def test_a_run_of_the_version_before_is_read_unchecked(xaibench: Run, again: Run, run: Store, finished: Path) -> None:
    for path in run.root.glob("cells/*/*.json"):
        record = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("checksum", "map_digest")}
        path.write_text(json.dumps(record | {"schema": 1}))
    for path in run.root.glob("tables/*/*.json"):
        content = {k: v for k, v in json.loads(path.read_text()).items() if k != "checksum"}
        path.write_text(json.dumps(content))
    now, before = (xaibench("leaderboard", str(folder), "--format", "csv") for folder in ("run", finished))
    assert now == before and now.code == 0
    said = again()
    assert said.code == 0 and f"{CELLS} kept" in said.err and "damaged" not in said.err
    assert all(run.load_map(r) is not None for r in run.records() if r.status == "ok")


def test_a_table_of_segments_that_was_edited_is_made_again(again: Run, run: Store) -> None:
    before = (run.root / "segments.csv").read_text()
    for path in run.root.glob("tables/*/*.json"):
        path.write_text(path.read_text().replace('"caliber":', '"caliber":9', 1))
    assert again().code == 0 and (run.root / "segments.csv").read_text() == before


def test_a_picture_that_is_damaged_or_lost_is_made_again(again: Run, run: Store) -> None:
    path = next(run.root.glob("pictures/*/*.npz"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-50])
    said = again()
    assert said.code == 0 and f"{path} is damaged" in said.err and path.read_bytes() == whole
    path.unlink()
    assert again().code == 0 and path.read_bytes() == whole


def test_a_full_disk_costs_nothing_that_was_finished(compute: Run, finished: Path, disk: Disk) -> None:
    kept: dict[Path, int] = {}
    for size in (60, 200, 340):
        out = disk(f"size={size}k") / "run"
        said = compute("--out", str(out))
        assert said.code == 2 and "cannot be written: No space left on device. Free the space" in said.err
        now = complete(out, scores=1)
        assert damage(out) == [] and not list(out.rglob("*.tmp")) and kept.items() <= now.items()
        kept = now
    out = disk("size=10m") / "run"
    assert compute("--out", str(out)).code == 0 and len(kept) > 5
    assert kept.items() <= complete(out, scores=1).items()
    assert numbers(out) == numbers(finished)


def test_a_disk_that_became_read_only(xaibench: Run, compute: Run, finished: Path, disk: Disk) -> None:
    out = disk("size=10m") / "run"
    shutil.copytree(finished, out)
    broken(Store(out), "truncated")
    disk("ro")
    said = compute("--out", str(out))
    assert said.code == 2 and f"{out}" in said.err and "cannot be written: Read-only file system" in said.err
    assert xaibench("leaderboard", str(out)).code == 0  # what is there can be read
    disk("rw")
    assert compute("--out", str(out)).code == 0 and numbers(out) == numbers(finished)


def test_a_folder_that_may_not_be_changed(again: Run, run: Store, finished: Path) -> None:
    path = broken(run, "truncated")
    if subprocess.run(["chattr", "+i", str(path.parent)], capture_output=True).returncode:
        pytest.skip("the file system does not know chattr +i, or it needs more rights")
    try:
        said = again()
        assert said.code == 2 and f"{path} cannot be written: Operation not permitted" in said.err
    finally:
        subprocess.run(["chattr", "-i", str(path.parent)], check=True)
    assert again().code == 0 and numbers(run.root) == numbers(finished)


def test_a_write_that_fails_half_way(again: Run, finished: Path) -> None:
    for name, at in (("write_bytes", 12), ("replace", 15)):
        with failing(name, at):
            assert again().code == 2
        kept = complete(Path("run"), scores=1)
        assert damage(Path("run")) == [] and not list(Path("run").rglob("*.tmp"))
    assert again().code == 0 and len(kept) > 4
    assert kept.items() <= complete(Path("run"), scores=1).items()
    assert numbers(Path("run")) == numbers(finished)


def test_two_runs_of_one_folder_take_turns(lab: Lab) -> None:
    out = lab.folder / "run"
    one_, two = lab.start(out), lab.start(out)
    said = [p.communicate(timeout=200)[1] for p in (one_, two)]
    assert (one_.returncode, two.returncode) == (0, 0), said
    assert len(lab.calls) == lab.cases  # nothing was computed twice
    assert sum(f"Waiting for another run in {out} to end (process " in text for text in said) == 1
    assert damage(out) == [] and len(complete(out)) == lab.cases * (METHODS + 1)
    assert {"logged", "saliency", "random"} <= {line["method"] for line in numbers(out)["leaderboard.csv"]}


def test_a_lock_ends_with_its_process_and_not_before(tmp_path: Path) -> None:
    path, words = tmp_path / "run" / ".lock", list[str]()
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom xaibench.record.lock import locked\n"
        "with locked(Path(sys.argv[1]), print):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"

    def end(text: str) -> None:
        words.append(text)
        holder.kill()

    with locked(path, end):
        assert words == [
            f"Waiting for another run in {path.parent} to end (process {holder.pid} on {os.uname().nodename}) …"
        ]
    holder.stdout.close()
    holder.wait()
    assert path.exists()  # what was written there says who had it last, and stops nobody
    with locked(path, words.append):
        assert len(words) == 1


def test_where_there_are_no_locks_it_says_so_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    words: list[str] = []
    with locked(tmp_path / ".lock", words.append):
        assert words == [f"{tmp_path} cannot be locked (No locks available): let no other run write there meanwhile."]


def test_a_lock_that_cannot_be_written_is_the_users_error() -> None:
    with pytest.raises(UserError, match="cannot be written"), Store("/dev/null/run").locked():
        pass
