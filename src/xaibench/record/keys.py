"""Content keys of networks, maps and scores; standard library only."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

_DIGITS = 24  # of a key
_TOLERANCE = 1e-4  # of the largest logit; other machines and numbers of threads differ by less


def map_keys(
    *,
    method: str,
    parameters: Mapping[str, object],
    distribution: str,
    version: str,
    weights_digest: str,
    target: str,
    seed: int,
) -> Callable[[str], str]:
    """The keys of one method's maps: a function of the content digest of the case.

    A key has 24 hex digits, which change with everything that decides the map. What all cases share is hashed once.

    Args:
        method: the explainer's name.
        parameters: all its hyper-parameters, defaults filled in; their order does not matter.
        distribution: where the explainer came from.
        version: that distribution's version.
        weights_digest: content digest of the weights.
        target: the target's name.
        seed: the run's seed.

    Raises:
        TypeError: for a parameter that is no number, string, bool, None, or list, tuple or mapping of these, since its
            text could change from run to run.

    Example:
        >>> same = dict(method="gradcam", distribution="xaibench", version="0.1.0", weights_digest="w",
        ...             target="vessels", seed=0)
        >>> last, first = (map_keys(parameters={"layer": layer}, **same) for layer in ("last", "first"))
        >>> last("digest of a case") == first("digest of a case"), len(last("digest of a case"))
        (False, 24)
    """
    before = hashlib.sha256((_text(["map", method, parameters, distribution, version])[:-1] + ",").encode())
    after = "," + _text([weights_digest, target, seed])[1:]

    def key(case_digest: str) -> str:
        digest = before.copy()
        digest.update((_text(case_digest) + after).encode())
        return digest.hexdigest()[:_DIGITS]

    return key


def score_identity(*, metric: str, parameters: Mapping[str, object], version: str) -> bytes:
    """The part of a score's key that is the same for every map: the metric, all its parameters and its version."""
    return _text([metric, parameters, version])[1:].encode()


def score_keys(map_key: str, identities: Iterable[bytes]) -> list[str]:
    """The keys of the scores of a map with these identities, each 24 hex digits.

    Example:
        >>> blur, mean = (score_identity(metric="srg", parameters={"fill": f}, version="1") for f in ("blur", "mean"))
        >>> len(set(score_keys("0" * 24, [blur, mean])))
        2
    """
    head = f'["score",{_text(map_key)},'.encode()
    return [hashlib.sha256(head + identity).hexdigest()[:_DIGITS] for identity in identities]


def agree(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two networks give the same logits for one image, up to rounding.

    Example:
        >>> agree([2.0, -1.0], [2.00001, -1.0]), agree([2.0, -1.0], [-2.0, 1.0])
        (True, False)
    """
    largest = max(map(abs, [*one, *other]), default=0.0)
    return len(one) == len(other) and all(abs(a - b) <= _TOLERANCE * largest for a, b in zip(one, other, strict=True))


def digest_of(weights_digest: str, logits: Sequence[float], known: Mapping[str, Sequence[float]]) -> str:
    """The digest under which a run keeps what a network of these weights gives.

    Args:
        weights_digest: content digest of its weights.
        logits: for the fixed image; empty if it does not take that.
        known: digest to logits of each network that the run's folder has seen.

    Returns:
        That of a known network which does the same; else that of the weights, with a number if it is taken.

    Example:
        >>> digest_of("ab", [1.0], {}), digest_of("ab", [1.0], {"ab": [1.0]}), digest_of("ab", [-1.0], {"ab": [1.0]})
        ('ab', 'ab', 'ab-2')
    """
    same_weights = [digest for digest in known if digest.partition("-")[0] == weights_digest]
    if not logits or not same_weights:
        return weights_digest
    number = f"{weights_digest}-{len(same_weights) + 1}"
    return next((digest for digest in same_weights if agree(known[digest], logits)), number)


def is_another(digest: str) -> bool:
    """Whether a digest of :func:`digest_of` is that of a further network with the same weights."""
    return "-" in digest


def _text(value: object) -> str:
    if isinstance(value, str) and value.isascii() and value.isalnum():  # which is its own JSON
        return f'"{value}"'
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: object) -> object:
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
