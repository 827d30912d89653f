import itertools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from leaderboard.synthetic import csv_rows

from xaibench.errors import UserError
from xaibench.record import SCORE_COLUMNS, Record, ScoreEntry, Store, as_stored, tidy
from xaibench.record.checksum import seal, verify
from xaibench.record.manifest import Manifest


def record(key: str = "ab" * 12, **changed: Any) -> Record:
    score = ScoreEntry("srg", 0.25, "ok", "", "higher", -1.0, 1.0, "faithfulness", "k")
    about: dict[str, Any] = dict.fromkeys(Record.__struct_fields__, "x") | {"params": "patch=16,stride=16"}
    about |= {"control": False, "signed": True, "seed": 0, "status": "ok", "reason": "", "seconds": 1.5, "passes": 3}
    return Record(**about | {"peak_mb": None, "map_key": key, "scores": [score]} | changed)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run")


def test_records_and_maps_come_back(store: Store) -> None:
    a = np.random.default_rng(0).normal(size=(7, 5))
    store.write(record(), a)
    assert store.read("ab" * 12) == record()
    loaded = store.load_map("ab" * 12)
    assert loaded is not None and loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, as_stored(a))
    files = {str(p.relative_to(store.root)) for p in store.root.rglob("*") if p.is_file()}
    assert files == {f"cells/ab/{'ab' * 12}.json", f"maps/ab/{'ab' * 12}.npz"}


def test_what_is_absent_is_none(store: Store) -> None:
    assert store.read("00" * 12) is store.load_map("00" * 12) is None
    assert store.scan() == ([], []) and store.read_run() == Manifest()


def test_a_record_can_be_rewritten_without_its_map(store: Store) -> None:
    store.write(record(), np.eye(3))
    store.write(record(scores=[]))
    assert store.read("ab" * 12) == record(scores=[])
    np.testing.assert_array_equal(store.load_map("ab" * 12), np.eye(3))


@given(
    arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1, 1, width=32)),
    st.sampled_from([1e-20, 1e-9, 1.0, 1e20]),
)
def test_the_error_of_a_stored_map_is_bounded(a: np.ndarray, unit: float) -> None:
    a = (a * unit).astype(np.float32)
    size = np.abs(a.astype(float))
    error = np.abs(as_stored(a).astype(float) - a)
    # The last term is what float32 itself loses where a value lies below its normal range.
    assert (error <= size * 2.0**-11 * 1.001 + size.max() * 2.0**-25 + 1e-45).all()
    again = as_stored(as_stored(a))
    assert size.max() < 1e-30 or np.array_equal(again, as_stored(a))
    assert as_stored(a)[np.unravel_index(size.argmax(), a.shape)] == a.flat[size.argmax()]


def test_a_zero_map_stays_zero() -> None:
    np.testing.assert_array_equal(as_stored(np.zeros((2, 3))), np.zeros((2, 3), np.float32))


def test_a_map_is_the_same_file_bit_for_bit(store: Store) -> None:
    files = []
    for _ in range(2):
        store.write(record(), np.random.default_rng(0).normal(size=(7, 5)))
        files.append(store.map_path("ab" * 12).read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize("bad", [np.array([[np.nan]]), np.array([[np.inf]]), np.zeros(3)])
def test_a_map_that_is_none_is_refused_before_anything_is_written(store: Store, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="map"):
        store.write(record(), bad)
    assert not store.root.exists()


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_crash_leaves_the_old_record_and_no_litter(store: Store, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(record(), np.eye(3))

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace" if step == "rename" else "write_bytes", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write(record(scores=[]), np.ones((3, 3)))
    monkeypatch.undo()
    assert store.scan() == ([record()], [])
    np.testing.assert_array_equal(store.load_map("ab" * 12), np.eye(3))
    assert not list(store.root.rglob("*.tmp"))


def test_a_killed_process_leaves_a_temporary_file_that_is_ignored(store: Store) -> None:
    """SIGKILL between write and rename runs no clean-up at all."""
    store.write(record(), np.eye(3))
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom xaibench.record import write_text\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_text(Path(sys.argv[1]), 'half')\n"
    )
    path = store.cell_path("ab" * 12)
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -9
    assert len(list(path.parent.iterdir())) == 2
    assert store.scan() == ([record()], [])


def test_truncated_and_foreign_cells_count_as_absent_and_are_named(store: Store) -> None:
    for key in ("aa" * 12, "bb" * 12, "cc" * 12, "dd" * 12):
        store.write(record(key))
    store.cell_path("aa" * 12).write_text(store.cell_path("aa" * 12).read_text()[:40])
    store.cell_path("bb" * 12).write_bytes(b"\xff\xfe")
    shutil.copy(store.cell_path("dd" * 12), store.cell_path("cc" * 12))
    good, damaged = store.scan()
    assert good == [record("dd" * 12)] == list(store.records())
    assert [p.stem for p, _ in damaged] == ["aa" * 12, "bb" * 12, "cc" * 12]
    assert all(reason for _, reason in damaged) and "another key" in damaged[2][1]
    assert [store.read(p.stem) for p, _ in damaged] == [None] * 3


@given(st.integers(0), st.integers(1, 255), st.floats(0, 1))
def test_no_byte_of_a_sealed_file_can_change_unseen(place: int, bits: int, value: float) -> None:
    """But for those by which it is known that there is a seal: of a record the store asks for it."""
    raw = seal(msgspec.json.encode({"schema": 2, "value": value}))
    first = raw.index(b":") + 2
    at = first + place % (len(raw) - first)
    changed = raw[:at] + bytes([raw[at] ^ bits]) + raw[at + 1 :]
    for damaged in (changed, raw[:at]):
        with pytest.raises(ValueError, match="not as it was written"):
            verify(damaged)


def test_a_damaged_file_is_told_once(store: Store) -> None:
    told: list[tuple[Path, str]] = []
    store.report = lambda path, reason: told.append((path, reason))
    store.write(record(), np.eye(3))
    other = store.write(record("cd" * 12), np.ones((3, 3)))
    path = store.map_path("ab" * 12)
    path.write_bytes(store.map_path("cd" * 12).read_bytes())
    assert store.read("cd" * 12).map_digest == other.map_digest != ""
    assert [store.read("ab" * 12), store.load_map(store.scan()[0][0])] == [None, None]
    assert told == [(path, "it is not the map that was written (wrong checksum)")]


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda content, keep=keep: content[:keep] for keep in (0, 10, 100, -30)),
        lambda content: content[:200] + bytes(b ^ 255 for b in content[200:220]) + content[220:],
    ],
)
def test_a_damaged_map_counts_as_absent(store: Store, damage: Callable[[bytes], bytes]) -> None:
    store.write(record(), np.random.default_rng(0).normal(size=(20, 20)))
    path = store.map_path("ab" * 12)
    path.write_bytes(damage(path.read_bytes()))
    assert store.load_map("ab" * 12) is None


def test_runs_merge_by_copying(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    one.write(record("ab" * 12), np.eye(2))
    two.write(record("ab12" * 6), np.eye(3))
    shutil.copytree(two.root, one.root, dirs_exist_ok=True)
    assert [r.map_key for r in one.records()] == ["ab12" * 6, "ab" * 12]
    assert one.load_map("ab12" * 6) is not None


@pytest.mark.parametrize("order", list(itertools.permutations(["0a" * 12, "b0" * 12, "00" * 12])))
def test_records_come_in_one_order_however_they_were_written(store: Store, order: tuple[str, ...]) -> None:
    for key in order:
        store.write(record(key))
    assert [r.map_key for r in store.records()] == sorted(order)


def test_scores_csv_is_tidy(store: Store) -> None:
    failed = record("cc" * 12, case="y", status="failed", reason='out of "memory", they say', scores=[])
    store.write(record())
    store.write(failed)
    lines = csv_rows(store.write_scores().read_text())
    header = "dataset,case,model,target,method,params,metric,value,status,reason,seconds,passes,peak_mb,seed"
    assert ",".join(SCORE_COLUMNS) == header == (store.root / "scores.csv").read_text().splitlines()[0]
    assert [line["case"] for line in lines] == ["x", "y"]
    assert lines[0] | {"value": "0.25", "metric": "srg", "params": "patch=16,stride=16", "peak_mb": ""} == lines[0]
    assert (lines[1]["metric"], lines[1]["value"], lines[1]["status"]) == ("", "", "failed")
    assert lines[1]["reason"] == 'out of "memory", they say'
    assert tidy([failed, record()]) == tidy([record(), failed])


@pytest.mark.parametrize("content", ["{", "[1]", "", '{"columns": ["srg"]}', '{"columns": {"srg": 3}}'])
def test_a_damaged_run_json_is_named(store: Store, content: str) -> None:
    store.write_run(Manifest())
    (store.root / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json cannot be read") as error:
        store.read_run()
    assert error.value.hint


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for path, said in ((tmp_path / "nowhere", "no folder"), (tmp_path, "neither run.json nor cells"), (file, "file")):
        with pytest.raises(UserError, match=said) as error:
            Store.open(path)
        assert str(path) in error.value.message and error.value.hint


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        Store(tmp_path / "file").write(record())


def test_records_load_neither_torch_nor_numpy() -> None:
    code = "import sys, xaibench.record; print(sorted({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
