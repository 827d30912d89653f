"""A published run holds the numbers of the run, all of them, and nothing to look at."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from record.test_store import record
from xaibench.errors import UserError
from xaibench.leaderboard.claims.false_positive_table import read_components
from xaibench.record import Store
from xaibench.record.checksum import seal
from xaibench.record.manifest import Manifest
from xaibench.record.published import RECORDS, publish
from xaibench.record.schema import encode

KEYS = ("ab" * 12, "cd" * 12)
LINE = encode(record())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "run")
    for i, key in enumerate(KEYS):
        store.write(record(key, case=str(i)), np.ones((4, 5)))
    store.write_run(Manifest(dataset="drive", cases=["0", "1"]))
    store.write_arrays("pictures", "ab" * 12, {"vessels": np.ones(3)})
    store.write_scores()
    return store


def published(store: Store, out: Path) -> Path:
    publish(store.root, store.scan()[0], out)
    return out


def test_what_was_published_is_read_as_the_run(store: Store, tmp_path: Path) -> None:
    out = published(store, tmp_path / "out")
    again = Store.open(out)
    assert again.scan() == store.scan() and again.read_run() == store.read_run()
    assert gzip.decompress((out / "scores.csv.gz").read_bytes()) == (store.root / "scores.csv").read_bytes()


def test_nothing_to_look_at_is_in_it(store: Store, tmp_path: Path) -> None:
    names = {p.name for p in published(store, tmp_path / "out").rglob("*")}
    assert names == {RECORDS, "run.json", "scores.csv.gz"}
    assert Store.open(tmp_path / "out").load_map(record(KEYS[0])) is None


def test_the_same_run_gives_the_same_bytes(store: Store, tmp_path: Path) -> None:
    one, other = (published(store, tmp_path / name) for name in ("one", "other"))
    assert all((other / p.name).read_bytes() == p.read_bytes() for p in one.iterdir())


def test_published_anew_it_is_read_anew(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "out")
    store.write(record(KEYS[1], case="other"))
    assert {r.case for r in Store.open(published(store, tmp_path / "out")).records()} == {"0", "other"}


def test_false_positives_are_read_compressed_and_segments_come_along(store: Store, tmp_path: Path) -> None:
    line = "drive,01,net,vessels,7,0.5,0.25"
    (store.root / "false_positives.csv").write_text(f"dataset,case,model,target,pixels,vesselness,matched\n{line}\n")
    (store.root / "segments.csv").write_text("dataset\ndrive\n")
    out = published(store, tmp_path / "out")
    assert read_components(out) == read_components(store.root) != []
    assert gzip.decompress((out / "segments.csv.gz").read_bytes()) == b"dataset\ndrive\n"
    (out / "false_positives.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"false_positives\.csv\.gz cannot be read.*Get the folder anew"):
        read_components(out)


def test_two_processes_read_one_folder_at_once_and_write_nothing(store: Store, tmp_path: Path) -> None:
    out = published(store, tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    code = "import sys; from xaibench.record import Store; print([r.case for r in Store.open(sys.argv[1]).records()])"
    command = [sys.executable, "-c", code, str(out)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(p.communicate(timeout=60)[0], p.returncode) for p in both] == [("['0', '1']\n", 0)] * 2
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"no json"),
        gzip.compress(b'{"schema":2}\n'),
        gzip.compress(seal(b"{" + LINE.partition(b",")[2].replace(b"ab" * 12, b"../../../x"))),
        gzip.compress(LINE.replace(b"0.25", b"0.95")),
        gzip.compress(LINE)[:-9],
    ],
    ids=["no gzip", "no json", "no record", "a key with a path", "another number", "cut off"],
)
def test_damaged_records_are_one_sentence(content: bytes, store: Store, tmp_path: Path) -> None:
    out = published(store, tmp_path / "out")
    (out / RECORDS).write_bytes(content)
    for read in (Store.stream, Store.records, Store.scan):
        with pytest.raises(UserError, match=RECORDS):
            list(read(Store.open(out)))
