"""A key changes with each part of what it identifies, and with nothing else."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaibench.errors import one_line
from xaibench.record.keys import map_keys, score_identity, score_keys

text = st.text(max_size=8).map(one_line)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
parameters = st.dictionaries(st.text(min_size=1, max_size=5), scalars, max_size=4)
identities = st.fixed_dictionaries(
    dict.fromkeys(("method", "distribution", "version", "case_digest", "weights_digest", "target"), text)
    | {"parameters": parameters, "seed": st.integers(0, 2**32)}
)


def map_key(case_digest: str, **identity: Any) -> str:
    return map_keys(**identity)(case_digest)


def score_key(map_key: str, **identity: Any) -> str:
    return score_keys(map_key, [score_identity(**identity)])[0]


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


IDENTITY: dict[str, Any] = {"method": "m", "distribution": "d", "version": "1", "case_digest": "c"}
IDENTITY |= {"weights_digest": "w", "target": "t", "seed": 0, "parameters": {}}


def test_the_key_of_a_map_is_pinned() -> None:
    """A key that changes by accident makes every finished run compute again."""
    canonical = '["map","m",{"a":1,"b":[0.5,null]},"d","1","c","w","t",0]'
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:24]
    assert map_key(**IDENTITY | {"parameters": {"b": (0.5, None), "a": 1}}) == expected


def test_a_parameter_without_stable_text_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        map_key(**IDENTITY | {"parameters": {"x": object()}})
