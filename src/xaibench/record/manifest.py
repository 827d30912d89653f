"""What ``run.json`` says was asked, read strictly; standard library only."""

from __future__ import annotations

from typing import Any

from xaibench.errors import one_line
from xaibench.record import plain

_ASKED_TEXTS = ("command", "data", "network", "dataset", "split", "note", "model", "weights_digest", "target", "device")
_ASKED_LISTS = ("cases", "methods", "metrics")


def asked_from_json(data: Any) -> dict[str, Any]:
    """What ``run.json`` says was asked, with the types that its readers count on; it may lack anything.

    Raises:
        ValueError: if it says something else.
    """
    asked = dict(plain.mapping(data))
    for name in _ASKED_TEXTS:
        if asked.get(name) is not None:
            asked[name] = plain.words(asked, name)
    for name in _ASKED_LISTS:
        if name in asked:
            asked[name] = [plain.text({name: v}, name) for v in plain.items(asked, name)]
    for name in ("machine", "versions", "metric_versions"):
        pairs = plain.mapping(asked.get(name, {}))
        asked |= {name: {one_line(k): one_line(str(v)) for k, v in pairs.items()}} if name in asked else {}
    if "columns" in asked:
        asked["columns"] = {one_line(k): plain.mapping(v) for k, v in plain.mapping(asked["columns"]).items()}
    return asked
