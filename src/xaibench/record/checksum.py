"""JSON with an embedded checksum."""

import hashlib

_HEAD = b'{"checksum":"'
_DIGITS = 32  # of a SHA-256 in hexadecimal
_BODY = len(_HEAD) + _DIGITS + len('",')


def seal(body: bytes) -> bytes:
    """The same JSON object with the checksum of its bytes as its first field.

    Args:
        body: a JSON object with at least one field, and no space after its brace.

    Example:
        >>> raw = seal(b'{"value":0.25}')
        >>> verify(raw), verify(b'{"value":0.25}')
        (True, False)
        >>> verify(raw.replace(b"0.25", b"0.95"))
        Traceback (most recent call last):
        ...
        ValueError: it is not as it was written (wrong checksum)
    """
    return _HEAD + _checksum(body[1:]) + b'",' + body[1:]


def verify(raw: bytes) -> bool:
    """Whether a JSON object was sealed; False for one that has no checksum, as those of edition one's first schema.

    Raises:
        ValueError: if it was sealed and has changed since.
    """
    if raw.startswith(_HEAD):
        if raw[len(_HEAD) : _BODY] != _checksum(memoryview(raw)[_BODY:]) + b'",':
            raise ValueError("it is not as it was written (wrong checksum)")
        return True
    if b'"checksum"' in raw:  # in a text, the quotes would be escaped
        raise ValueError("it is not as it was written (laid out anew)")
    return False


def _checksum(rest: bytes | memoryview) -> bytes:
    """Of an object, without its opening brace."""
    digest = hashlib.sha256(b"{")
    digest.update(rest)
    return digest.hexdigest()[:_DIGITS].encode()
