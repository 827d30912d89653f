"""JSON files that say of themselves whether they are as they were written; standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from xaibench.record import plain

_HEAD = b'{"checksum":"'
_DIGITS = 32  # of a SHA-256 in hexadecimal
_BODY = len(_HEAD) + _DIGITS + len('",')


def seal(content: Mapping[str, Any]) -> str:
    """One line of strict JSON that begins with the checksum of all that follows.

    Args:
        content: not empty, of types that JSON has.

    Raises:
        ValueError: if a number in it is not finite.

    Example:
        >>> text = seal({"value": 0.25})
        >>> unseal(text.encode())["value"]
        0.25
        >>> unseal(text.replace("0.25", "0.95").encode())
        Traceback (most recent call last):
        ...
        ValueError: it is not as it was written (wrong checksum)
    """
    return sealed(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def sealed(body: str) -> str:
    """The text of a JSON object, not empty and without space after its brace, with its checksum put first."""
    return f'{_HEAD.decode()}{_checksum(body.encode())}",{body[1:]}'


def unseal(raw: bytes) -> dict[str, Any]:
    """The inverse of :func:`seal`, the checksum among the content; what never had one is read unchecked.

    Raises:
        ValueError: if it is not what was written, or no JSON object.
    """
    if raw.startswith(_HEAD):
        body = b"{" + raw[_BODY:]
        if raw[len(_HEAD) : _BODY] != f'{_checksum(body)}",'.encode():
            raise ValueError("it is not as it was written (wrong checksum)")
        content = dict(plain.mapping(plain.parse(body)))
        content["checksum"] = raw[len(_HEAD) : len(_HEAD) + _DIGITS].decode()
    else:
        content = dict(plain.mapping(plain.parse(raw)))
        if "checksum" in content:
            raise ValueError("it is not as it was written (laid out anew)")
    return content


def _checksum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:_DIGITS]
