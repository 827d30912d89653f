from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from xaibench.errors import one_line
from xaibench.record import SCHEMA_VERSION, Record, ScoreEntry, map_key, score_key
from xaibench.record.checksum import seal
from xaibench.record.schema import decode, decode_without_curves, encode
from xaibench.record.strict_json import LARGEST

finite = st.floats(-LARGEST, LARGEST)
text = st.text(max_size=8).map(one_line)  # which is how it is kept
key = st.text("0123456789abcdef-", min_size=1, max_size=40)
bound = finite | st.just(-math.inf)
curves = st.none() | st.lists(st.tuples(finite, finite), max_size=4).map(
    lambda points: {"x": [x for x, _ in points], "y": [y for _, y in points]}
)


@st.composite
def entries(draw: st.DrawFn) -> ScoreEntry:
    status = draw(st.sampled_from(["ok", "skipped", "failed"]))
    return ScoreEntry(
        metric=draw(text),
        value=draw(finite) if status == "ok" else None,
        status=status,
        reason=draw(text),
        better=draw(st.sampled_from(["higher", "lower", "zero", "none"])),
        low=draw(bound),
        high=math.inf if draw(st.booleans()) else draw(finite),
        family=draw(text),
        key=draw(text),
        curve=draw(curves),
    )


records = st.builds(
    Record,
    **dict.fromkeys(("dataset", "split", "case", "model", "target", "method", "params", "spec"), text),
    **dict.fromkeys(("family", "distribution", "version", "reason"), text),
    **dict.fromkeys(("case_digest", "weights_digest", "map_key"), key),
    control=st.booleans(),
    signed=st.booleans(),
    seed=st.integers(0, 2**64),
    status=st.sampled_from(["ok", "skipped", "failed"]),
    seconds=finite,
    passes=st.integers(0, 10**9),
    peak_mb=st.none() | finite,
    scores=st.lists(entries(), max_size=3),
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def fields(record: Record) -> dict[str, Any]:
    """The fields of its file, but for the checksum."""
    content: dict[str, Any] = json.loads(encode(record))
    del content["checksum"]
    return content


def sealed(content: dict[str, Any]) -> bytes:
    return seal(json.dumps(content).encode())


def built(*scores: ScoreEntry, **changed: Any) -> Record:
    """A record of plain values."""
    about: dict[str, Any] = dict.fromkeys(Record.__struct_fields__, "x")
    about |= {"control": False, "signed": True, "seed": 0, "status": "ok", "reason": "", "seconds": 1.5, "passes": 3}
    return Record(**about | {"peak_mb": None, "scores": scores} | changed)


@given(records)
def test_a_record_survives_strict_json(record: Record) -> None:
    written = encode(record)
    json.loads(written, parse_constant=refuse)
    back, light = decode(written), decode_without_curves(written)
    assert back == record and type(back) is Record
    assert light == replace(back, scores=light.scores) and all(s.curve is None for s in light.scores)
    assert [replace(s, curve=None) for s in back.scores] == [
        ScoreEntry(*(getattr(s, name) for name in ScoreEntry.__struct_fields__)) for s in light.scores
    ]


def test_infinite_bounds_and_curve_points_become_null() -> None:
    curve: Any = {"x": [1.0, 2.0], "y": [math.nan, 2 * LARGEST]}
    entry = ScoreEntry("m", 1.0, "ok", "", "none", -math.inf, 2 * LARGEST, "f", "k", curve)
    (written,) = json.loads(encode(built(entry)))["scores"]
    assert written["low"] is None and written["high"] is None and written["curve"]["y"] == [None, None]
    (back,) = decode(encode(built(entry))).scores
    assert (back.low, back.high) == (-math.inf, math.inf) and back == entry


def test_texts_are_written_as_one_line() -> None:
    entry = ScoreEntry("m\n", None, "failed", "x" * 20_000 + "\n", "none", 0, 1, "f", "k")
    back = decode(encode(built(entry, case="a\x1b[2J", reason="why\nnot")))
    assert (back.case, back.reason, back.scores[0].metric) == ("a\\x1b[2J", "why\\nnot", "m\\n")
    assert len(back.scores[0].reason) == 10_000


@pytest.mark.parametrize(
    ("value", "status"), [(None, "ok"), (math.nan, "ok"), (math.inf, "ok"), (0.5, "failed"), (0.5, "skipped")]
)
def test_a_value_goes_with_ok_alone(value: float | None, status: str) -> None:
    with pytest.raises(ValueError, match="does not go with"):
        ScoreEntry("m", value, status, "", "higher", 0, 1, "f", "k")


def test_unknown_status_and_direction_are_refused() -> None:
    with pytest.raises(ValueError, match="status 'done'"):
        ScoreEntry("m", 1.0, "done", "", "higher", 0, 1, "f", "k")
    with pytest.raises(ValueError, match="better='up'"):
        ScoreEntry("m", 1.0, "ok", "", "up", 0, 1, "f", "k")


@given(records, st.data())
def test_a_record_that_lacks_a_field_or_has_another_schema_is_refused(record: Record, data: st.DataObject) -> None:
    good = fields(record)
    name = data.draw(st.sampled_from(sorted(good)))
    lacking = {k: v for k, v in good.items() if k != name}
    for content, words in ((lacking, name), (good | {"schema": SCHEMA_VERSION + 1}, "schema")):
        for read in (decode, decode_without_curves):
            with pytest.raises(ValueError, match=words):
                read(sealed(content))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("passes", v) for v in (-1, 1.0, True, "1", None, 10**30)),
        *(("seconds", v) for v in (math.nan, 1e101, "1", None, False)),
        *(("control", v) for v in (0, "true", None)),
        *(("seed", v) for v in (-1, 2**64 + 1, 0.5)),
        *(("case", v) for v in ("a\nb", "\x1b[2J", "x" * 10_001, 5)),
        *(("scores", v) for v in ({}, None, [1], [{}])),
        ("status", "done"),
    ],
)
def test_a_field_of_another_type_or_out_of_bounds_is_named(name: str, value: Any) -> None:
    content = sealed(fields(built()) | {name: value})
    for read in (decode, decode_without_curves):
        with pytest.raises(ValueError, match="JSON" if value != value else name) as error:
            read(content)
        assert one_line(str(error.value)) == str(error.value)


@pytest.mark.parametrize("junk", [[], "text", 3, None, {"schema": SCHEMA_VERSION}])
def test_what_is_no_record_is_refused(junk: Any) -> None:
    with pytest.raises(ValueError, match="it"):
        decode(json.dumps(junk).encode())


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
parameters = st.dictionaries(st.text(min_size=1, max_size=5), scalars, max_size=4)
identities = st.fixed_dictionaries(
    dict.fromkeys(("method", "distribution", "version", "case_digest", "weights_digest", "target"), text)
    | {"parameters": parameters, "seed": st.integers(0, 2**32)}
)


@given(identities, identities)
def test_two_map_keys_are_equal_exactly_when_all_of_the_identity_is(a: dict[str, Any], b: dict[str, Any]) -> None:
    for name in a:  # one field at a time: this is what must not be overlooked
        changed = a | {name: b[name]}
        assert (map_key(**a) == map_key(**changed)) == (repr_(a[name]) == repr_(b[name]))


@given(parameters, parameters, text, text)
def test_score_keys_differ_in_each_of_their_parts(p: dict[str, Any], q: dict[str, Any], s: str, t: str) -> None:
    base = score_key("k", metric=s, parameters=p, version=s)
    assert (base == score_key("k", metric=s, parameters=q, version=s)) == (repr_(p) == repr_(q))
    assert (base == score_key("k", metric=t, parameters=p, version=s)) == (s == t)
    assert (base == score_key("k", metric=s, parameters=p, version=t)) == (s == t)
    assert base != score_key("l", metric=s, parameters=p, version=s)


def repr_(value: Any) -> str:
    """Text that tells 1, 1.0 and True apart and does not depend on the order of parameters."""
    return repr(sorted((k, repr(v)) for k, v in value.items()) if isinstance(value, dict) else value)


IDENTITY = {
    "method": "m",
    "distribution": "d",
    "version": "1",
    "case_digest": "c",
    "weights_digest": "w",
    "target": "t",
    "seed": 0,
    "parameters": {},
}


def test_the_key_of_a_map_is_pinned() -> None:
    """A key that changes by accident makes every finished run compute again."""
    canonical = '["map","m",{"a":1,"b":[0.5,null]},"d","1","c","w","t",0]'
    import hashlib

    expected = hashlib.sha256(canonical.encode()).hexdigest()[:24]
    assert map_key(**IDENTITY | {"parameters": {"b": (0.5, None), "a": 1}}) == expected  # type: ignore[arg-type]


def test_a_parameter_without_stable_text_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        map_key(**IDENTITY | {"parameters": {"x": object()}})  # type: ignore[arg-type]
