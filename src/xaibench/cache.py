"""A cache of small JSON values in the user's cache folder."""

import contextlib
import json
import os
from pathlib import Path

from xaibench.disk import write_whole
from xaibench.errors import UserError


def folder(kind: str) -> Path:
    """Where values of a kind are cached.

    Raises:
        RuntimeError: if there is no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "xaibench" / kind


def recall(kind: str, key: str) -> object:
    """The value of JSON types under the key; None if there is none, or it cannot be read."""
    try:
        return json.loads((folder(kind) / f"{key}.json").read_text("utf-8"))
    except (OSError, RuntimeError, ValueError):
        return None


def remember(kind: str, key: str, value: object) -> None:
    """Cache a value of JSON types; does nothing where the cache cannot be written."""
    with contextlib.suppress(UserError, RuntimeError, TypeError, ValueError):
        write_whole(folder(kind) / f"{key}.json", json.dumps(value).encode())
