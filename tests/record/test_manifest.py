"""The manifest comes back as it was written, and what a stranger wrote into it is refused or made harmless."""

import json
import math
from typing import Any

import pytest

from xaibench.record.manifest import ColumnInfo, Manifest

INFO = ColumnInfo(
    label="srg", explanation="One line.", main=0, narrow=False, better="higher", low=-1, family="f", gate=0.5
)


@pytest.mark.parametrize(
    "manifest",
    [
        Manifest(),
        Manifest(command="xaibench run", network=None, cases=["01"], seed=3, machine={"system": "Linux", "threads": 2}),
        Manifest(columns={"srg": INFO, "mine": ColumnInfo()}, cluster={"workers": 2}, versions={"torch": "2"}),
    ],
)
def test_it_comes_back(manifest: Manifest) -> None:
    written = manifest.encode()
    json.loads(written, parse_constant=lambda constant: pytest.fail(constant))
    assert Manifest.decode(written) == manifest and written.endswith(b"}\n")


def test_unknown_fields_are_passed_over_and_absent_ones_have_defaults() -> None:
    assert Manifest.decode(b'{"later": [1], "seed": 1}') == Manifest(seed=1)


def test_infinite_ends_of_a_range_become_null() -> None:
    written = json.loads(Manifest(columns={"m": ColumnInfo(low=-math.inf, high=math.inf)}).encode())
    assert {written["columns"]["m"].get(end) for end in ("low", "high")} == {None}


def test_texts_are_made_one_line() -> None:
    made = Manifest(note="a\nb", cases=["\x1b[2J"], versions={"a\n": "b\n"}, columns={"m": ColumnInfo(label="x\ny")})
    assert (made.note, made.cases, made.versions) == ("a\\nb", ["\\x1b[2J"], {"a\\n": "b\\n"})
    assert made.columns["m"].label == "x\\ny"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"cases": 5}, "its field cases is wrong: expected array, got int"),
        ({"methods": {"a": 1}}, "methods"),
        ({"versions": [1]}, "versions"),
        ({"machine": {"threads": [2]}}, "machine"),
        ({"columns": {"m": {"main": -1}}}, "main"),
        ({"columns": {"m": {"better": "up"}}}, "better='up' is none of higher, lower, zero, none"),
        ({"columns": {"m": {"low": 1e101}}}, "low"),
        ([], "it is not laid out as it should be: expected object, got array"),
    ],
)
def test_another_type_is_refused_with_the_name_of_its_field(content: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Manifest.decode(json.dumps(content).encode())


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"seed": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is not JSON|it is nested too deeply|not laid out"):
        Manifest.decode(raw)
