"""Small things that were found out once and are remembered in the user's cache folder; stdlib only."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def folder(kind: str) -> Path:
    """Where things of a kind are remembered; RuntimeError if there is no home folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "xaibench" / kind


def recall(kind: str, key: str) -> Any:
    """What was remembered under the key, in types of JSON; None if nothing was, or it can't be read."""
    try:
        return json.loads((folder(kind) / f"{key}.json").read_text("utf-8"))
    except (OSError, RuntimeError, ValueError):  # RuntimeError: there is no home at all
        return None


def remember(kind: str, key: str, value: Any) -> None:
    """Keep a value of types of JSON; where the cache can't be written to, it is found out anew each time."""
    with contextlib.suppress(OSError, RuntimeError, TypeError, ValueError):
        path = folder(kind) / f"{key}.json"
        text = json.dumps(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{key}.{os.getpid()}.part")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
