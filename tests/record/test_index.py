"""Whatever happens to files and index, the index says what the files say; it costs time at most."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xaibench.record import Record, ScoreEntry, Store, map_key, score_key
from xaibench.record import index as index_module
from xaibench.record.checksum import seal
from xaibench.record.entry import Entry, pack, spans
from xaibench.record.keys import identified, score_identity

METRICS = {"srg": {"fill": "inpaint"}, "srg[fill=blur]": {"fill": "blur"}, "auroc-thin": {}, "seconds": {}}
IDENTITIES = {m: score_identity(metric=m.partition("[")[0], parameters=p, version="1") for m, p in METRICS.items()}
STAMP = (1, 2, 3)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of this moment count as settled, except where a test says otherwise."""
    monkeypatch.setattr(index_module, "SETTLED", -10_000_000_000)


def record(i: int, rng: random.Random | None = None, **changed: Any) -> Record:
    rng = rng or random.Random(i)
    key = map_key(
        method="m",
        parameters={"i": i},
        distribution="d",
        version="1",
        case_digest="c",
        weights_digest="w",
        target="vessels",
        seed=0,
    )
    scores = []
    for metric, parameters in METRICS.items():
        status = rng.choice(["ok"] * 8 + ["skipped", "failed"])
        scores.append(
            ScoreEntry(
                metric,
                rng.choice([rng.random(), -0.0, 1e-300]) if status == "ok" else None,
                status,
                "" if status == "ok" else rng.choice(["", 'it said "no", twice', "läuft nicht\n"]),
                rng.choice(["higher", "lower"]),
                *rng.choice([(0.0, 1.0), (float("-inf"), float("inf"))]),
                family="f",
                key=score_key(key, metric=metric.partition("[")[0], parameters=parameters, version="1"),
                curve=rng.choice([None, {"x": [0.0, 1.0], "y": [0.5, 0.25]}]),
                null=tuple(rng.random() for _ in range(rng.choice([0, 3]))),
                gate=rng.choice([None, 0.5]),
            )
        )
    about: dict[str, Any] = {f.name: f"{f.name} é" for f in dataclasses.fields(Record)}
    about |= {"control": bool(i % 2), "signed": True, "seed": i, "passes": i, "peak_mb": rng.choice([None, 1.25])}
    about |= {"status": "ok", "reason": "", "seconds": rng.random(), "map_key": key, "scores": scores}
    return Record(**about | changed)


def light(records: list[Record]) -> list[Record]:
    """What the index should say: no curves."""
    bare = [dataclasses.replace(r, scores=[dataclasses.replace(s, curve=None) for s in r.scores]) for r in records]
    return sorted(bare, key=lambda r: r.map_key)


def found(store: Store) -> tuple[list[Record], list[tuple[Path, str]]]:
    folders = list(store.index.folders())
    return [r for f in folders for r in f.records()], [d for f in folders for d in f.damaged]


def parsed_by(store: Store) -> list[Path]:
    """The files that are parsed from now on."""
    parse, paths = store.index._parse, []

    def watched(path: Path) -> Record:
        paths.append(path)
        return parse(path)

    store.index._parse = watched  # type: ignore[method-assign]
    return paths


def filled(root: Path, count: int = 40, same_folder: bool = True) -> Store:
    """A run whose cells all lie in one folder, as they would where there are many."""
    store, made, i = Store(root), 0, 0
    while made < count:
        r = record(i)
        i += 1
        if not same_folder or r.map_key[0] == "a":
            store.write(r)
            made += 1
    return store


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("i", range(30))
def test_an_entry_says_all_but_the_curves(i: int, known: bool) -> None:
    r = record(i)
    identities = {"srg": frozenset(IDENTITIES.values())} if known else {}
    data, layout = pack(r, STAMP, identities)
    ((key, stamp, digest, start, end),) = spans(data)
    assert (key.hex(), stamp, digest, start, end) == (r.map_key, STAMP, layout.digest, 0, len(data))
    assert [Entry(data, type(layout).from_text(layout.text)).record()] == light([r])
    assert [bool(s.identity) for s in layout.scores] == [known, known, False, False]
    assert Entry(data, layout).record(lambda code: False).scores == []


def test_an_identity_is_taken_only_where_it_makes_the_key() -> None:
    r = record(1)
    wrong = frozenset([score_identity(metric="srg", parameters={"fill": "inpaint"}, version="2")])
    _, layout = pack(r, STAMP, {"srg": wrong})
    assert not any(s.identity for s in layout.scores)
    assert identified(r.map_key, IDENTITIES["srg"]) == r.scores[0].key


@pytest.mark.parametrize(
    "changed",
    [{"map_key": "short"}, {"map_key": "AB" * 12}, {"value": 1}, {"key": "k"}, {"null": (1,)}, {"null": (0.5,) * 256}],
)
def test_what_an_entry_cannot_say_exactly_is_refused_and_read_from_its_file(
    changed: dict[str, Any], tmp_path: Path
) -> None:
    r = record(7)
    ok = next(s for s in r.scores if s.status == "ok")
    if "map_key" in changed:
        odd = dataclasses.replace(r, **changed)
    else:
        odd = dataclasses.replace(r, scores=[dataclasses.replace(ok, **changed)])
    with pytest.raises(ValueError, match=r"key|entry|hex"):
        pack(odd, STAMP, {})
    store = Store(tmp_path)
    store.write(odd)
    for _ in range(2):
        assert found(store)[0] == (list(store.records()) if "value" not in changed else found(store)[0])
        assert len(found(store)[0]) == 1


def test_spans_end_at_the_first_damage() -> None:
    entries = [pack(record(i), STAMP, {})[0] for i in range(5)]
    log = b"".join(entries)
    rng = random.Random(0)
    for _ in range(300):
        at = rng.randrange(len(log))
        bad = bytearray(log)
        bad[at] ^= 1 << rng.randrange(8)
        whole = next(n for n in range(5) if sum(map(len, entries[: n + 1])) > at)
        got = [log[start:end] for *_, start, end in spans(bytes(bad))]
        assert got == entries[:whole]
        assert [log[start:end] for *_, start, end in spans(log[:at])] == entries[:whole]
    assert list(spans(b"")) == [] == list(spans(b"x" * 500)) == list(spans(struct.pack("<4sII", b"xbi1", 12, 0)))


def test_a_second_reading_parses_no_file(tmp_path: Path) -> None:
    store = filled(tmp_path, same_folder=False)
    expected = light(list(store.records()))
    assert found(store) == (expected, [])
    again = Store(tmp_path)
    paths = parsed_by(again)
    assert found(again) == (expected, []) and not paths


def test_a_file_that_may_still_change_within_one_tick_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writings within one step of the file system's clock can have one size and one time."""
    monkeypatch.setattr(index_module, "SETTLED", 2_000_000_000)
    store = Store(tmp_path)
    r = record(3, status="ok", seconds=1.5)
    store.write(r)
    assert found(store)[0] == light([r])
    path = store.cell_path(r.map_key)
    before = path.stat()
    path.write_text(seal(dataclasses.replace(r, seconds=2.5).to_json()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found(store)[0][0].seconds == 2.5


def test_a_writer_enters_what_has_settled(tmp_path: Path) -> None:
    store = filled(tmp_path, 20)
    expected = light(list(store.records()))
    again = Store(tmp_path)
    paths = parsed_by(again)
    assert found(again)[0] == expected and not paths  # nobody has read it before: the entries are the writer's


Change = Callable[[Store, random.Random], None]


def edit(store: Store, rng: random.Random) -> None:
    time.sleep(0.02)  # a tick of the file system's clock, within which no time would change
    path = rng.choice(sorted(store.root.glob("cells/*/*.json")))
    text, stat = path.read_text(), path.stat()
    path.write_text(text.replace('"passes":', '"passes":1'))
    if rng.random() < 0.5:  # as if it were as old as before
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def edit_same_size(store: Store, rng: random.Random) -> None:
    time.sleep(0.02)
    path = rng.choice(sorted(store.root.glob("cells/*/*.json")))
    stat = path.stat()
    content = path.read_bytes().replace(b'"split":"s', b'"split":"t')
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def rewrite(store: Store, rng: random.Random) -> None:
    store.write(record(rng.randrange(60), rng))


def remove(store: Store, rng: random.Random) -> None:
    rng.choice(sorted(store.root.glob("cells/*/*.json"))).unlink()


def truncate_cell(store: Store, rng: random.Random) -> None:
    path = rng.choice(sorted(store.root.glob("cells/*/*.json")))
    path.write_bytes(path.read_bytes()[: rng.randrange(400)])


def exchange(store: Store, rng: random.Random) -> None:
    one, other = rng.sample(sorted(store.root.glob("cells/*/*.json")), 2)
    shutil.copy2(one, other)


def flip_index(store: Store, rng: random.Random) -> None:
    for path in [p for p in sorted((store.root / "index").rglob("*")) if p.is_file()]:
        content = bytearray(path.read_bytes())
        if content and rng.random() < 0.5:
            content[rng.randrange(len(content))] ^= 255
            path.write_bytes(content)


def cut_index(store: Store, rng: random.Random) -> None:
    for path in [p for p in sorted((store.root / "index").rglob("*")) if p.is_file()]:
        path.write_bytes(path.read_bytes()[: rng.randrange(1 + path.stat().st_size)])


def delete_index(store: Store, rng: random.Random) -> None:
    shutil.rmtree(store.root / "index", ignore_errors=True)


def delete_layouts(store: Store, rng: random.Random) -> None:
    shutil.rmtree(store.root / "index" / "layouts", ignore_errors=True)


def merge(store: Store, rng: random.Random) -> None:
    other = Store(store.root.with_name(f"other-{rng.random()}"))
    for _ in range(5):
        other.write(record(rng.randrange(100), rng))
    list(other.index.folders())
    if rng.random() < 0.5:
        shutil.copytree(other.root, store.root, dirs_exist_ok=True)
    else:
        shutil.copytree(other.root, store.root, dirs_exist_ok=True, copy_function=shutil.copy)


def exchange_indices(store: Store, rng: random.Random) -> None:
    logs = sorted((store.root / "index").glob("??"))
    if len(logs) > 1:
        one, other = rng.sample(logs, 2)
        content = one.read_bytes()
        one.write_bytes(other.read_bytes() + content)
        other.write_bytes(content)


CHANGES: list[Change] = [
    *(edit, edit_same_size, rewrite, remove, truncate_cell, exchange, flip_index, cut_index, delete_index),
    *(delete_layouts, merge, exchange_indices),
]


def _agrees(store: Store) -> None:
    good, damaged = store.scan()
    for reader in (Store(store.root), store):
        records, bad = found(reader)
        assert records == light(good)
        assert bad == damaged


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
def test_each_change_is_noticed(change: Change, tmp_path: Path) -> None:
    store = filled(tmp_path / "run", 12, same_folder=False)
    _agrees(store)
    for seed in range(6):
        change(store, random.Random(seed))
        _agrees(store)


@pytest.mark.parametrize("seed", range(8))
def test_any_sequence_of_changes_is_noticed(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    store = filled(tmp_path / "run", 12, same_folder=False)
    for _ in range(20):
        if len(list(store.root.glob("cells/*/*.json"))) < 3:
            rewrite(store, rng)
        rng.choice(CHANGES)(store, rng)
        if rng.random() < 0.6:
            _agrees(store)
    _agrees(store)
    for path in store.root.glob("index/*"):
        assert not path.name.endswith(".tmp")


def test_an_index_that_is_mostly_about_the_past_is_written_anew(tmp_path: Path) -> None:
    store = filled(tmp_path, 8)
    for i in range(40):
        for r in list(store.records()):
            store.write(dataclasses.replace(r, passes=i))
    _agrees(store)
    size = sum(p.stat().st_size for p in (tmp_path / "index").glob("a?"))
    one = len(pack(record(0), STAMP, {})[0])
    assert size < 8 * 2.5 * one


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_read(tmp_path: Path) -> None:
    store = filled(tmp_path, 4)
    expected = light(list(store.records()))
    shutil.rmtree(tmp_path / "index")
    tmp_path.chmod(0o555)
    try:
        assert found(Store(tmp_path))[0] == expected
    finally:
        tmp_path.chmod(0o755)


def test_an_index_whose_place_is_taken_costs_nothing_but_time(tmp_path: Path) -> None:
    store = filled(tmp_path, 4)
    expected = light(list(store.records()))
    shutil.rmtree(tmp_path / "index")
    (tmp_path / "index").write_text("a file")
    store.write(store.read(expected[0].map_key) or record(0))
    assert found(Store(tmp_path))[0] == expected
