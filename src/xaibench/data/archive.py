"""The pictures in a zip archive and in the archives inside it, none of which is ever unpacked to disk."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from xaibench.disk import MOST, is_file, read_member

DEPTH = 5  # folders, and archives within archives, below the root: downloads nest four at most
_ARCHIVES = 256  # inside one; an archive can hold itself, or sixteen that hold sixteen each, and so on
_UNPACKED = 4 * MOST  # bytes, of all archives inside one


def members(path: Path, endings: tuple[str, ...], prefix: str) -> dict[str, tuple[str, ...]]:
    """Name, with forward slashes and below ``prefix``, to the members that lead to each picture in the archive.

    An archive inside counts as a folder of its name. Hidden files, resource forks, links, and whatever would lie
    outside the archive's own folder are passed over. Of two members of one name the last counts, as it does for whoever
    unpacks them.

    Args:
        path: of the archive.
        endings: of the pictures' names, in lower case.
        prefix: what the names begin with; may be empty.

    Raises:
        ValueError: if the archives inside are so many, or so large, that they are meant to fill a memory.
        Exception: of any kind, if the archive is damaged.
    """
    budget = _Budget()
    return dict(_members(path, (), endings, prefix, budget))


def read(path: Path, chain: tuple[str, ...]) -> bytes:
    """The content of a member, reached through the archives inside.

    Raises:
        Exception: of any kind, if it is damaged, encrypted, packed in an unknown way, or too large.
    """
    with _archive(path, chain[:-1]) as archive:
        return read_member(archive, archive.getinfo(chain[-1]))


class _Budget:
    """What listing one archive may cost."""

    def __init__(self) -> None:
        self.archives = self.unpacked = 0

    def spend(self, size: int) -> None:
        self.archives += 1
        self.unpacked += size
        if self.archives > _ARCHIVES:
            raise ValueError(f"there are more than {_ARCHIVES} archives in it")
        if self.unpacked > _UNPACKED:
            raise ValueError(f"the archives in it unpack to more than {_UNPACKED / 1e9:.1f} GB")


def _members(
    path: Path, within: tuple[str, ...], endings: tuple[str, ...], prefix: str, budget: _Budget
) -> Iterator[tuple[str, tuple[str, ...]]]:
    with _archive(path, within) as archive:
        for info in sorted(archive.infolist(), key=lambda i: i.filename):
            parts = [p for p in info.filename.replace("\\", "/").split("/") if p not in ("", ".")]
            hidden = any(p.startswith((".", "__MACOSX")) for p in parts)
            if hidden or info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                continue
            name = "/".join([prefix, *parts] if prefix else parts)
            if name.lower().endswith(endings):
                yield name, (*within, info.filename)
            elif name.lower().endswith(".zip") and len(within) < DEPTH:
                budget.spend(info.file_size)
                yield from _members(path, (*within, info.filename), endings, name[:-4], budget)


def _archive(path: Path, within: tuple[str, ...]) -> zipfile.ZipFile:
    if not is_file(path):
        raise OSError("it is no file")
    return zipfile.ZipFile(io.BytesIO(_nested(path, within, path.stat().st_mtime_ns)) if within else path)


@lru_cache(maxsize=2)  # unpacking a nested archive anew for each of its pictures would take most of the time
def _nested(path: Path, within: tuple[str, ...], changed: int) -> bytes:
    return read(path, within)
