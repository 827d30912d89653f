"""A run's folder that somebody else wrote, or edited, given to everything that reads one."""

import copy
import functools
import io
import json
import math
import operator
import os
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from record.test_store import record

from bad_input.archives import declaring, packed
from bad_input.judge import answer, check_sentence, folder, within
from bad_input.pictures import damaged
from bad_input.test_bad_archives import bomb
from bad_input.test_bad_weights import Trap
from bad_input.values import anything
from xaibench.errors import UserError, one_line
from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.claims.false_positive_table import read_components
from xaibench.leaderboard.claims.judge import read_claims
from xaibench.leaderboard.run_results import losses, read_results
from xaibench.leaderboard.statistics.metric_quality import qualities
from xaibench.leaderboard.summary.sentences import summarise
from xaibench.leaderboard.tables.claims_table import render_claims
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.leaderboard.tables.render import render
from xaibench.record import ScoreEntry, Store, tidy
from xaibench.record.artefact_files import load_film, load_picture
from xaibench.record.checksum import seal
from xaibench.record.manifest import Manifest
from xaibench.record.schema import decode, encode
from xaibench.vocabulary import TABLE_FORMATS as FORMATS

METRICS = {"srg": "higher", "auroc-thin": "higher", "auroc-thick": "higher", "thin-gap": "zero", "mprt": "lower"}


def cell(method: str, case: int) -> dict[str, Any]:
    """A sound record as it is kept."""
    key = f"{len(method):02x}{case:02x}" * 6
    scores = [
        ScoreEntry(
            *(name, 0.1 * case + 0.03 * len(method), "ok", "", better, -1.0, math.inf, "overlap"),
            key=f"{name} of {key}",
            curve={"x": [0.0, 0.5, 1.0], "y": [1.0, 0.4, 0.0]} if name == "srg" else None,
            null=(0.1, 0.2, 0.3) if name == "auroc-thin" else (),
            gate=0.5 if name == "mprt" else None,
        )
        for name, better in METRICS.items()
    ]
    about = {"dataset": "drive", "case": f"{case:02d}", "case_digest": f"c{case}", "model": "net", "target": "vessels"}
    about |= {"method": method, "spec": method, "params": "", "map_digest": ""}  # any whole map will do
    content: dict[str, Any] = json.loads(encode(record(key, **about, control=method == "random", scores=scores)))
    return {name: value for name, value in content.items() if name != "checksum"}


CELLS = [cell(method, case) for method in ("gradcam", "lime", "random") for case in range(3)]
RUN = {"command": "xaibench run --data drive", "dataset": "drive", "cases": ["00", "01", "02", "03"], "model": "net"}


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, v in inner for path in _paths(v, (*at, key)))]


def _edited(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    """A copy with another value at a path; without it if that is ..."""
    *before, last = ("", *path)
    changed = copy.deepcopy({"": value})
    inside = functools.reduce(operator.getitem, before, changed)
    if put is ...:
        del inside[last]
    else:
        inside[last] = put
    return changed.get("", value)


TEXTS = r"=1+1 a|b $x_2$ <b> a,b gradcam[layer=x] srg [ ] \ %s {}"
# Of the right type, so that a reader lets them pass and what follows must bear them.
legal = st.one_of(
    st.sampled_from(
        [0, 1, -1, 1e100, -1e100, 1e-300, 1e99, 2**64, True, False, None, [], [0.0] * 40, "ok", "failed", "skipped"]
    ),
    st.sampled_from(["", " ", " @", "x" * 3000, *TEXTS.split()]),
    st.sampled_from([([1.0, 0.0], [0, 1]), ([None, 1], [1, None]), ([], []), ([1e100] * 2, [1e100] * 2)]).map(
        lambda curve: dict(zip("xy", curve, strict=True))
    ),
)
edits = st.lists(st.tuples(st.integers(0, 10**6), st.one_of(legal, legal, anything, st.just(...))), max_size=4)


def _cells(changes: list[tuple[int, list[tuple[int, Any]]]]) -> list[Any]:
    cells: list[Any] = list(CELLS)
    for which, edits in changes:
        i = which % len(cells)
        for where, put in edits:
            paths = _paths(cells[i])
            cells[i] = _edited(cells[i], paths[where % len(paths)], put)
    return cells


cells = st.lists(st.tuples(st.integers(0, 8), edits), max_size=5).map(_cells)
edited_runs = st.builds(_edited, st.just(RUN), st.sampled_from(_paths(RUN)), st.one_of(legal, anything))
runs = st.one_of(st.just(RUN), edited_runs, anything)
DEEP = b"[" * 100_000 + b"]" * 100_000
raw = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([DEEP, b'{"a":' * 50_000, b"NaN", b"1e999", b"9" * 5000, b"\xff\xfe{}", b'"\\ud800"', b""]),
)
HEADER = "dataset,case,model,target,pixels,vesselness,matched"
fields = st.sampled_from(["00", "drive", "net", "vessels", "nan", "1e999", "-1", "", "x"]) | st.text(max_size=4)
rows = st.lists(st.lists(fields, max_size=9).map(",".join), max_size=4)
csvs = st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda t: t.encode("utf-8", "surrogatepass")),
    rows.map(lambda lines: "\n".join([HEADER, *lines]).encode("utf-8", "replace")),
)


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()  # NaN, infinities and lone surrogates as Python writes them


def record_file(value: Any) -> bytes:
    """As a run writes it, with the checksum of what it holds: what is wrong is what it says."""
    return seal(dumped(value)) if isinstance(value, dict) and value else dumped(value)


def write(root: Path, cells: list[Any], run: bytes = dumped(RUN), csv: bytes | None = None) -> Store:
    for i, value in enumerate(cells):
        content = value if isinstance(value, bytes) else record_file(value)
        key = value.get("map_key") if isinstance(value, dict) else None
        name = key if isinstance(key, str) and key.isalnum() and len(key) < 99 else f"{i:024x}"
        path = root / "cells" / name[:2] / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "run.json").write_bytes(run)
    if csv is not None:
        (root / "false_positives.csv").write_bytes(csv)
    return Store(root)


@given(st.one_of(anything.map(record_file), anything.map(dumped), cells.map(lambda c: record_file(c[0])), raw))
def test_a_record_of_any_content(content: bytes) -> None:
    with folder() as place:
        store = write(place, [content])
        good, damaged_ = answer("record: cell", store.scan)
        assert len(good) + len(damaged_) == 1
        for _, reason in damaged_:
            check_sentence(one_line(reason))
        for record in good:
            assert decode(encode(record)) == record
            json.dumps(tidy([record]), allow_nan=False)


@given(st.one_of(runs.map(dumped), raw))
@example(b'{"cases": 5}')
@example(b'{"methods": {"a": 1}, "versions": [1]}')
def test_what_was_asked_of_any_content(content: bytes) -> None:
    with folder() as place:
        store = write(place, [], content)
        asked = answer("record: run.json", store.read_run)
        if not isinstance(asked, UserError):
            assert Manifest.decode(asked.encode()) == asked
            for names in (asked.cases, asked.methods):  # what readers do with them
                assert len(sorted({*names})) == len(dict.fromkeys(names))


@given(cells, runs, st.none() | csvs)
@example([_edited(c, ("scores", 0, "curve"), {"x": [1.0, 0.0], "y": [0.0, 1.0]}) for c in CELLS], RUN, None)
@example([_edited(c, ("scores", 0, "value"), 1e100) for c in CELLS], RUN, None)
@example([_edited(c, ("seconds",), -1e100) for c in CELLS], RUN, None)
def test_a_leaderboard_of_any_records(cells: list[Any], run: Any, csv: bytes | None) -> None:
    with folder() as place:
        store = write(place, cells, dumped(run), csv)
        left_out: list[str] = []
        boards = answer(
            "leaderboard",
            lambda: read_leaderboards([store], report=lambda p, r: left_out.append(one_line(f"{p}: {r}"))),
        )
        for line in left_out:
            check_sentence(line)
        answer("false_positives.csv", lambda: read_components(place))
        if isinstance(boards, UserError):
            return
        for form in FORMATS:
            text = answer("leaderboard: tables", lambda form=form: render(boards, form, wide=True))
            assert text.strip()
            text.encode()
            if form == "json":
                json.loads(text, parse_constant=lambda c: pytest.fail(c))
        answer("leaderboard: words", lambda: [summarise(b) for b in boards] and [qualities(b) for b in boards])
        answer("leaderboard: metrics", lambda: render_metrics(boards, "table"))
        found = answer("claims", lambda: read_claims([store]))
        if not isinstance(found, UserError):
            for form in ("table", "markdown", "json"):
                answer("claims: tables", lambda form=form: render_claims(found, form))
        for result in answer("leaderboard: curves", lambda: read_results([store])):
            losses(result.records)
            for row in result.board.rows:
                for metric in METRICS:
                    curve = result.curve(metric, row.method)
                    if curve is not None:
                        assert curve.x.shape == curve.y.shape[1:] and curve.mean().shape == curve.x.shape
                        curve.band()
        assert {p.name for p in place.iterdir()} <= {"cells", "run.json", "false_positives.csv"}


# ------------------------------------------------------------------------------------------------------------ arrays


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1", "replace") + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + data


SOUND = npz(map=np.eye(7, dtype=np.float16), scale=np.float64(2))
shapes = st.lists(st.sampled_from([0, 1, 2, 7, 10**6, 10**12]), max_size=4).map(tuple)
headers = st.one_of(
    st.builds(
        lambda descr, order, shape: str({"descr": descr, "fortran_order": order, "shape": shape}),
        st.sampled_from(["<f2", "<f8", "|O", "<U9", "<c16", "|b1", "|V8", "<M8[s]", "x", "", [("a", "<f8")]]),
        st.sampled_from([False, True, 3]),
        shapes,
    ),
    st.text(max_size=60),
    st.sampled_from(["(" * 3000, "{'descr': '<f2', 'fortran_order': False, 'shape': (-1,)}", "__import__('os')"]),
)
members = st.one_of(
    st.builds(npy, headers, st.binary(max_size=200), st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x09\x00"])),
    st.binary(max_size=60),
)
arrays = st.one_of(
    damaged(st.just(SOUND)),
    st.builds(lambda a, b: packed([("map.npy", a), ("scale.npy", b)]), members, members),
    st.builds(lambda name, content: packed([(name, content)] * 2), st.text(max_size=9), members),
    st.builds(
        lambda dtype, shape, scale: npz(map=np.ones(shape, dtype), scale=scale),
        st.sampled_from(["f2", "f8", "i4", "?", "c8", "S3"]),
        st.lists(st.integers(0, 4), max_size=4),
        st.sampled_from([1.0, math.nan, math.inf, [1.0], [1.0, 2.0], -1, 1e308]),
    ),
    st.builds(lambda size: declaring(SOUND, size=size), st.sampled_from([0, 1, 2**31, 2**32 - 2])),
    st.binary(max_size=60),
    st.builds(lambda a: npy(*a), st.tuples(headers, st.binary(max_size=60))),
)


LOADERS: dict[str, Callable[[Store, str], Any]] = {"maps": Store.load_map, "pictures": load_picture, "films": load_film}


def holding(content: bytes) -> AbstractContextManager[Path]:
    """The folder of a run in which the map, the picture and the film of the key abcd have this content."""
    return folder({f"{kind}/ab/abcd.npz": content for kind in LOADERS})


@given(arrays)
@example(SOUND)
def test_a_map_of_any_content(content: bytes) -> None:
    with holding(content) as place:
        found = answer("record: map", lambda: Store(place).load_map("abcd"))
        if found is not None:
            assert found.dtype == np.float32 and found.ndim == 2 and found.size
        assert answer("record: picture", lambda: load_picture(Store(place), "abcd")) is None
        assert answer("record: film", lambda: load_film(Store(place), "abcd")) is None


PICTURE = {"image": np.zeros((5, 4, 3), np.uint8), "caliber": np.zeros((5, 4), np.float16)}
PICTURE |= {n: np.zeros((5, 4), bool) for n in ("fov", "vessels", "thin")} | {"prediction": np.zeros((5, 4), np.uint8)}
FILM = {"shares": np.linspace(0, 1, 3), "pictures": np.zeros((3, 5, 4, 3), np.uint8)}
FILM |= {"predictions": np.zeros((3, 5, 4), np.uint8), "probability": np.zeros(3)}
other = st.one_of(
    st.builds(np.zeros, st.lists(st.integers(0, 5), max_size=4), st.sampled_from(["u1", "?", "f2", "f8", "i8", "c8"])),
    st.just(np.full((5, 4), np.nan, np.float16)),
    st.none(),
)


@given(st.sampled_from(["pictures", "films"]), st.sampled_from([*PICTURE, *FILM, "more"]), other)
def test_pictures_and_films_of_any_arrays(kind: str, name: str, put: np.ndarray | None) -> None:
    with folder() as place:
        store, sound = Store(place), PICTURE if kind == "pictures" else FILM
        arrays = {k: v for k, v in (sound | {name: put}).items() if v is not None}
        store.write_arrays(kind, "abcd", arrays)
        found = answer(f"record: {kind[:-1]}", lambda: LOADERS[kind](store, "abcd"))
        if found is not None:
            for k, v in vars(found).items():
                assert v.shape == sound[k].shape or v.ndim == sound[k].ndim
                assert v.dtype.kind == sound[k].dtype.kind and np.isfinite(v).all()


@pytest.mark.parametrize("form", ["pickle", "object array", "npy of objects", "object member"])
def test_a_program_in_a_map_is_never_run(form: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    objects = np.array([Trap(mark)], dtype=object)
    buffer = io.BytesIO()
    np.save(buffer, objects, allow_pickle=True)
    content = {
        "pickle": pickle.dumps(Trap(mark)),
        "object array": npz(map=objects, scale=np.float64(1)),
        "npy of objects": buffer.getvalue(),
        "object member": packed([("map.npy", pickle.dumps(Trap(mark))), ("scale.npy", buffer.getvalue())]),
    }[form]
    with holding(content) as place:
        for load in LOADERS.values():
            assert answer("record: programs", lambda load=load: load(Store(place), "abcd")) is None
    assert not mark.exists()


@pytest.mark.parametrize("how", ["honest", "huge", "lies", "many members"])
def test_a_bomb_in_a_map_takes_no_memory(how: str) -> None:
    content = packed([(f"{i}.npy", b"") for i in range(40)]) if how == "many members" else bomb(how)
    with holding(content) as place, within(100):
        assert answer("record: bombs", lambda: Store(place).load_map("abcd")) is None


def test_pipes_and_devices_in_a_run_are_not_waited_for() -> None:
    with folder() as place:
        store = write(place, CELLS)
        (place / "cells" / "fe").mkdir(exist_ok=True)
        os.mkfifo(place / "cells" / "fe" / "fefe.json")
        (place / "cells" / "fe" / "fe00.json").symlink_to("/dev/zero")
        (place / "cells" / "fe" / "fe01.json").mkdir()
        good, damaged_ = answer("record: cell", store.scan)
        assert len(good) == len(CELLS) and len(damaged_) == 3
        store.map_path("fefe").parent.mkdir(parents=True)
        os.mkfifo(store.map_path("fefe"))
        assert answer("record: map", lambda: store.load_map("fefe")) is None
        (place / "run.json").unlink()
        os.mkfifo(place / "run.json")
        assert isinstance(answer("record: run.json", store.read_run), UserError)
        os.mkfifo(place / "false_positives.csv")
        assert isinstance(answer("false_positives.csv", lambda: read_components(place)), UserError)


@pytest.mark.parametrize("field", ["map_key", "case_digest", "weights_digest"])
@pytest.mark.parametrize("key", ["../../../neighbour", "/etc/passwd", "..", "a/b", "a\\b", "", ".x", "\0", "x" * 300])
def test_a_key_that_leads_elsewhere_is_no_key(field: str, key: str) -> None:
    with folder() as place:
        np.savez(place.parent / "neighbour.npz", **PICTURE)
        store = write(place, [CELLS[0] | {field: key}])
        good, damaged_ = answer("record: cell", store.scan)
        assert not good and (field in damaged_[0][1] or "key" in damaged_[0][1])
        (place.parent / "neighbour.npz").unlink()
