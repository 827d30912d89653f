"""The images in a zip archive and in the archives inside it; nothing is ever unpacked to disk."""

import io
import stat
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from xaibench.disk import MOST, is_file, read_member
from xaibench.errors import first_line

DEPTH = 5  # folders, and archives within archives, below the root: downloads nest four at most
HIDDEN = (".", "__MACOSX")  # what the names of files to be skipped begin with
_MOST_ARCHIVES = 256  # inside one; an archive can hold itself, or sixteen that hold sixteen each, and so on
_MOST_UNPACKED = 4 * MOST  # bytes, of all archives inside one


def members(path: Path, endings: tuple[str, ...], prefix: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """List the images in an archive; an archive inside counts as a folder of its name.

    Hidden files, resource forks, links, and names that lead out of the archive's own folder are skipped. Of two members
    with the same name the last counts, as it does for a program that unpacks them.

    Args:
        path: of the archive.
        endings: of the images' names, in lower case.
        prefix: what the names begin with; may be empty.

    Returns:
        The name of each image, with forward slashes and below ``prefix``, to the chain of members that leads to it; and
        a sentence on each archive inside that cannot be read.

    Raises:
        ValueError: if the archives inside are so many, or so large, that they are meant to fill a memory.
        Exception: of any kind, if the archive is damaged.
    """
    images: dict[str, tuple[str, ...]] = {}
    broken: list[str] = []
    sizes: list[int] = []  # of the archives inside, unpacked

    def add(within: tuple[str, ...], prefix: str) -> None:
        """Add the images of an archive, reached through others, and of those inside it."""
        with _archive(path, within) as archive:
            for name, info in _visible(archive, prefix):
                chain = (*within, info.filename)
                if name.lower().endswith(endings):
                    images[name] = chain
                elif name.lower().endswith(".zip") and len(within) < DEPTH:
                    sizes.append(info.file_size)
                    _limit(sizes)
                    try:
                        add(chain, name[:-4])
                    except _TooMuch:
                        raise
                    except Exception as error:  # a damaged archive can raise anything
                        broken.append(f"{name} in {path} is not a readable zip archive: {first_line(error)}.")

    add((), prefix)
    return images, broken


def read(path: Path, chain: tuple[str, ...]) -> bytes:
    """The content of a member, reached through the archives inside.

    Raises:
        Exception: of any kind, if it is damaged, encrypted, packed in an unknown way, or too large.
    """
    with _archive(path, chain[:-1]) as archive:
        return read_member(archive, archive.getinfo(chain[-1]))


class _TooMuch(ValueError):
    """The archives inside are meant to fill a memory."""


def _limit(sizes: list[int]) -> None:
    if len(sizes) > _MOST_ARCHIVES:
        raise _TooMuch(f"there are more than {_MOST_ARCHIVES} archives in it")
    if sum(sizes) > _MOST_UNPACKED:
        raise _TooMuch(f"the archives in it unpack to more than {_MOST_UNPACKED / 1e9:.1f} GB")


def _visible(archive: zipfile.ZipFile, prefix: str) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The members that are neither folders nor links nor hidden, with their names below the prefix, in order."""
    for info in sorted(archive.infolist(), key=lambda i: i.filename):
        parts = [p for p in info.filename.replace("\\", "/").split("/") if p not in ("", ".")]
        hidden = any(p.startswith(HIDDEN) for p in parts)
        if parts and not hidden and not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
            yield "/".join([prefix, *parts] if prefix else parts), info


def _archive(path: Path, within: tuple[str, ...]) -> zipfile.ZipFile:
    if not is_file(path):
        raise OSError("it is no file")
    return zipfile.ZipFile(io.BytesIO(_nested(path, within, path.stat().st_mtime_ns)) if within else path)


@lru_cache(maxsize=2)  # unpacking a nested archive anew for each of its images would take most of the time
def _nested(path: Path, within: tuple[str, ...], changed: int) -> bytes:
    return read(path, within)
