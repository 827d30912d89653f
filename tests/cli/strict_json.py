"""JSON as other languages read it."""

import json
from typing import Any


def strict(text: str) -> Any:
    """The one JSON document that the text is; NaN and infinities are refused."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)
