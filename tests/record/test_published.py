"""A published run holds the numbers of the run, all of them, and nothing to look at."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from record.test_store import record
from xaibench.errors import UserError
from xaibench.record import Store
from xaibench.record import published as published_module
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


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


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


def test_it_is_unpacked_once_and_anew_when_it_changes(store: Store, tmp_path: Path) -> None:
    out = published(store, tmp_path / "out")
    first = Store.open(out).root
    assert Store.open(out).root == first
    store.write(record(KEYS[1], case="other"))
    assert Store.open(published(store, out)).root != first
    assert {r.case for r in Store.open(out).records()} == {"0", "other"}


def test_what_is_read_beside_the_records_is_there(store: Store, tmp_path: Path) -> None:
    (store.root / "false_positives.csv").write_text("dataset\ndrive\n")
    (store.root / "segments.csv").write_text("dataset\ndrive\n")
    out = published(store, tmp_path / "out")
    opened = Store.open(out)
    assert (opened.root / "false_positives.csv").read_text() == "dataset\ndrive\n"
    assert not (opened.root / "segments.csv").exists()  # long, and nothing reads it
    assert (opened.shown, Store.open(store.root).shown) == (out, store.root)
    (out / "false_positives.csv.gz").write_bytes(gzip.compress(b"dataset\nother\n"))
    assert Store.open(out).root != opened.root
    (out / "false_positives.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"false_positives\.csv\.gz cannot be read"):
        Store.open(out)


def test_of_two_that_unpack_at_once_the_slower_takes_the_folder_of_the_faster(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rename, both = published(store, tmp_path / "out"), published_module._rename, threading.Barrier(2)

    def together(part: Path, folder: Path) -> None:
        both.wait(20)
        rename(part, folder)

    monkeypatch.setattr(published_module, "_rename", together)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: Store.open(out), range(2))
    assert one.root == other.root and list(one.records()) == list(store.records())
    assert [p.name for p in one.root.parent.iterdir()] == [one.root.name]  # no folder of the slower one


def test_without_a_cache_it_is_read_all_the_same(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert len(list(Store.open(published(store, tmp_path / "out")).records())) == 2


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
def test_damaged_records_are_one_sentence_and_leave_nothing(content: bytes, store: Store, tmp_path: Path) -> None:
    out = published(store, tmp_path / "out")
    (out / RECORDS).write_bytes(content)
    with pytest.raises(UserError, match=RECORDS):
        Store.open(out)
    assert not list((tmp_path / "cache").rglob("*.json")) and not list(tmp_path.rglob("x.json"))
