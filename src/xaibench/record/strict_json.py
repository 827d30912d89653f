"""Strict decoding of JSON that somebody else may have written: types and bounds, and one sentence for each error."""

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

LARGEST = 1e100  # of a number, since sums and squares of larger ones overflow
LONGEST = 10_000  # characters of a text

Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, Meta(max_length=LONGEST)]

_PLACE = re.compile(r"(?s)(.*) - at `\$\.?(.*)`")
_Content = TypeVar("_Content")


def decode(decoder: msgspec.json.Decoder[_Content], raw: bytes) -> _Content:
    """The content of a JSON document.

    Args:
        decoder: of the type that the content must have; unknown fields are passed over.
        raw: the document.

    Raises:
        ValueError: if it is not JSON, or not of that type; the message names the field.

    Example:
        >>> decode(msgspec.json.Decoder(dict[str, Count]), b'{"passes": -1}')
        Traceback (most recent call last):
        ...
        ValueError: its field [...] is wrong: expected int >= 0
    """
    try:
        return decoder.decode(raw)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except msgspec.ValidationError as error:
        text = str(error).replace("Object missing", "missing")
        found = _PLACE.fullmatch(text)
        text, place = found.groups() if found else (text, "")
        where = f"its field {place} is wrong" if place else "it is not laid out as it should be"
        raise ValueError(f"{where}: {text[:1].lower()}{text[1:].replace('`', '')}") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from error
