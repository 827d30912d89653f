from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaibench.errors import one_line
from xaibench.record import SCHEMA_VERSION, Record, ScoreEntry, map_key, score_key
from xaibench.record.plain import LARGEST

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


@given(records)
def test_a_record_survives_strict_json(record: Record) -> None:
    written = json.dumps(record.to_json(), allow_nan=False)
    assert Record.from_json(json.loads(written, parse_constant=refuse)) == record


def test_infinite_bounds_and_curve_points_become_null() -> None:
    curve = {"x": [1.0, 2.0], "y": [math.nan, math.inf]}
    entry = ScoreEntry("m", 1.0, "ok", "", "none", -math.inf, math.inf, "f", "k", curve)
    data = entry.to_json()
    assert data["low"] is None and data["high"] is None and data["curve"]["y"] == [None, None]
    back = ScoreEntry.from_json(data)
    assert (back.low, back.high) == (-math.inf, math.inf)
    assert back.curve is not None and all(map(math.isnan, back.curve["y"]))


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
    good = record.to_json()
    name = data.draw(st.sampled_from(sorted(good)))
    with pytest.raises(ValueError, match=name):
        Record.from_json({k: v for k, v in good.items() if k != name})
    with pytest.raises(ValueError, match="schema"):
        Record.from_json(good | {"schema": SCHEMA_VERSION + 1})


@pytest.mark.parametrize("junk", [[], "text", 3, None, {"schema": SCHEMA_VERSION}])
def test_what_is_no_record_is_refused(junk: Any) -> None:
    with pytest.raises(ValueError, match="it "):
        Record.from_json(junk)


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
