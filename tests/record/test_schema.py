import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from record.test_store import record as a_record
from xaibench.errors import one_line
from xaibench.record import SCHEMA_VERSION, Record, ScoreEntry
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


about = dict.fromkeys(("metric", "reason", "family", "key"), text) | {"low": bound, "curve": curves}
about |= {"better": st.sampled_from(["higher", "lower", "zero", "none"]), "high": st.just(math.inf) | finite}
done = st.builds(ScoreEntry, value=finite, status=st.just("ok"), **about)
lost = st.builds(ScoreEntry, value=st.none(), status=st.sampled_from(["skipped", "failed"]), **about)
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
    scores=st.lists(done | lost, max_size=3),
)


def fields(record: Record) -> dict[str, Any]:
    """The fields of its file, but for the checksum."""
    content: dict[str, Any] = json.loads(encode(record))
    del content["checksum"]
    return content


def sealed(content: dict[str, Any]) -> bytes:
    return seal(json.dumps(content).encode())


@given(records)
def test_a_record_survives_strict_json(record: Record) -> None:
    written = encode(record)
    json.loads(written, parse_constant=lambda constant: pytest.fail(constant))
    back, light = decode(written), decode_without_curves(written)
    assert back == record and type(back) is Record
    assert light == replace(back, scores=light.scores) and all(s.curve is None for s in light.scores)
    assert [replace(s, curve=None) for s in back.scores] == [
        ScoreEntry(*(getattr(s, name) for name in ScoreEntry.__struct_fields__)) for s in light.scores
    ]


def test_infinite_bounds_and_curve_points_become_null() -> None:
    curve: Any = {"x": [1.0, 2.0], "y": [math.nan, 2 * LARGEST]}
    entry = ScoreEntry("m", 1.0, "ok", "", "none", -math.inf, 2 * LARGEST, "f", "k", curve)
    (written,) = json.loads(encode(a_record(scores=[entry])))["scores"]
    assert written["low"] is None and written["high"] is None and written["curve"]["y"] == [None, None]
    (back,) = decode(encode(a_record(scores=[entry]))).scores
    assert (back.low, back.high) == (-math.inf, math.inf) and back == entry


def test_texts_are_written_as_one_line() -> None:
    entry = ScoreEntry("m\n", None, "failed", "x" * 20_000 + "\n", "none", 0, 1, "f", "k")
    back = decode(encode(a_record(scores=[entry], case="a\x1b[2J", reason="why\nnot")))
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
    content = sealed(fields(a_record()) | {name: value})
    for read in (decode, decode_without_curves):
        with pytest.raises(ValueError, match="JSON" if value != value else name) as error:
            read(content)
        assert one_line(str(error.value)) == str(error.value)


@pytest.mark.parametrize("junk", [[], "text", 3, None, {"schema": SCHEMA_VERSION}])
def test_what_is_no_record_is_refused(junk: Any) -> None:
    with pytest.raises(ValueError, match="it"):
        decode(json.dumps(junk).encode())
