"""Content keys of maps and scores; standard library only."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_DIGITS = 24  # of a key


def map_key(
    *,
    method: str,
    parameters: Mapping[str, Any],
    distribution: str,
    version: str,
    case_digest: str,
    weights_digest: str,
    target: str,
    seed: int,
) -> str:
    """The key of a map: 24 hex digits that change with everything that decides the map.

    Args:
        method: the explainer's name.
        parameters: all its hyper-parameters, defaults filled in; their order does not matter.
        distribution: where the explainer came from.
        version: that distribution's version.
        case_digest: content digest of the case.
        weights_digest: content digest of the weights.
        target: the target's name.
        seed: the run's seed.

    Raises:
        TypeError: for a parameter that is no number, string, bool, None, or list, tuple or mapping of these, since its
            text could change from run to run.

    Example:
        >>> same = dict(method="gradcam", distribution="xaibench", version="0.1.0", case_digest="c",
        ...             weights_digest="w", target="vessels", seed=0)
        >>> map_key(parameters={"layer": "last"}, **same) == map_key(parameters={"layer": "first"}, **same)
        False
        >>> len(map_key(parameters={}, **same))
        24
    """
    keys = map_keys(
        method=method,
        parameters=parameters,
        distribution=distribution,
        version=version,
        weights_digest=weights_digest,
        target=target,
        seed=seed,
    )
    return keys(case_digest)


def map_keys(
    *,
    method: str,
    parameters: Mapping[str, Any],
    distribution: str,
    version: str,
    weights_digest: str,
    target: str,
    seed: int,
) -> Callable[[str], str]:
    """The keys of one method's maps on many cases: a function of the case's digest, see :func:`map_key`.

    The part that all cases share is hashed once.
    """
    before = hashlib.sha256((_text(["map", method, parameters, distribution, version])[:-1] + ",").encode())
    after = "," + _text([weights_digest, target, seed])[1:]

    def key(case_digest: str) -> str:
        digest = before.copy()
        digest.update((_text(case_digest) + after).encode())
        return digest.hexdigest()[:_DIGITS]

    return key


def score_key(map_key: str, *, metric: str, parameters: Mapping[str, Any], version: str) -> str:
    """The key of a score, from the map's key, the metric, all its parameters and its version.

    Example:
        >>> score_key("0" * 24, metric="srg", parameters={"fill": "blur"}, version="1") == \\
        ...     score_key("0" * 24, metric="srg", parameters={"fill": "mean"}, version="1")
        False
    """
    return identified(map_key, score_identity(metric=metric, parameters=parameters, version=version))


def score_identity(*, metric: str, parameters: Mapping[str, Any], version: str) -> str:
    """The part of a score's key that is the same for every map, for :func:`identified`."""
    return _text([metric, parameters, version])[1:]


def identified(map_key: str, identity: str) -> str:
    """The key of a score of that map with that :func:`score_identity`."""
    return score_keys(map_key, [identity.encode()])[0]


def score_keys(map_key: str, identities: Iterable[bytes]) -> list[str]:
    """The keys of scores of that map with these encoded identities."""
    head = f'["score",{_text(map_key)},'.encode()
    return [hashlib.sha256(head + identity).hexdigest()[:_DIGITS] for identity in identities]


def _text(value: Any) -> str:
    if isinstance(value, str) and value.isascii() and value.isalnum():  # which is its own JSON
        return f'"{value}"'
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> Any:
    """The value in types whose JSON is unambiguous."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list | tuple):
        return [_canonical(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _canonical(v) for k, v in value.items()}
    raise TypeError(f"a parameter of type {type(value).__name__} cannot be part of a key: {value!r}")
