"""Pictures out of a folder or a zip archive, as one downloads them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from xaibench.data.picture import FAILURES, grey_pixels, rgb_pixels
from xaibench.errors import UserError

PICTURES = (".tif", ".tiff", ".gif", ".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp")
_DEPTH = 5  # folders, and zips within zips, below the root: downloads nest four at most, a home folder without end
_FAILURES = (*FAILURES, zipfile.BadZipFile)  # of damaged, encrypted or oversized content


@dataclass(frozen=True)
class Source:
    """The pictures below a folder or in a zip archive; a zip inside counts as a folder of its name.

    Attributes:
        root: the folder or archive.
        files: relative name with forward slashes, to the file on disk and the members of nested zips that lead to it.
            Plain files come before zipped ones, each in alphabetical order.
        broken: one sentence for each archive that cannot be read.
    """

    root: Path
    files: Mapping[str, tuple[Path, tuple[str, ...]]] = field(repr=False)
    broken: tuple[str, ...] = ()

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            UserError: if it is gone or cannot be unpacked.
        """
        path, members = self.files[name]
        try:
            if not members:
                return path.read_bytes()
            with _archive(path, members[:-1]) as archive:
                return archive.read(members[-1])
        except _FAILURES as error:
            raise _unreadable(self, name, error) from error


def open_source(path: str | os.PathLike[str]) -> Source:
    """List the pictures of a folder or zip archive, up to five levels down; hidden files are passed over.

    Raises:
        UserError: if there is nothing of that name, or it is a file but no zip archive.
    """
    root = Path(path).expanduser()
    root = root.resolve() if ".." in root.parts else root.absolute()  # a link keeps the name that the user knows
    if not root.exists():
        raise UserError(f"There is no folder or zip archive {root}.", "Check the path.")
    if root.is_file() and root.suffix.lower() != ".zip":
        hint = "Give the folder that the pictures are in"
        one = f", or explain one picture with `xaibench explain {root}`" if root.suffix.lower() in PICTURES else ""
        raise UserError(f"{root} is neither a folder nor a zip archive.", f"{hint}{one}.")
    plain: dict[str, tuple[Path, tuple[str, ...]]] = {}
    zipped: dict[str, tuple[Path, tuple[str, ...]]] = {}
    broken: list[str] = []
    for name, file in [("", root)] if root.is_file() else _walk(root):
        if file.suffix.lower() != ".zip":
            plain[name] = (file, ())
            continue
        try:
            zipped |= {inner: (file, members) for inner, members in _members(file, (), name[:-4])}
        except _FAILURES as error:
            broken.append(f"{file} is not a readable zip archive: {_reason(error)}.")
    return Source(root, plain | {k: v for k, v in zipped.items() if k not in plain}, tuple(broken))


def read_image(source: Source, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB, see :func:`~xaibench.data.picture.rgb_pixels`.

    Raises:
        UserError: if the file is truncated, unreadable, or it is not clear which of its values is white.
    """
    return _pixels(source, name, rgb_pixels)


def read_mask(source: Source, name: str) -> np.ndarray:
    """(H, W) bool: true where the picture, as grey, is above half of white; where it is 1 in a picture of 0 and 1.

    Raises:
        UserError: if the file is truncated or unreadable, or its brightest value is neither 0, 1 nor above 127.
    """
    grey = _pixels(source, name, grey_pixels)
    top = int(grey.max(initial=0))
    if 1 < top <= 127:
        raise UserError(
            f"The mask {name} in {source.root} has values up to {top}, so it is not clear what is vessel.",
            "Save it with 0 for background and 255 for vessel.",
        )
    return grey > (0 if top == 1 else 127)


def _pixels(source: Source, name: str, read: Callable[[bytes], np.ndarray]) -> np.ndarray:
    try:
        return read(source.read(name))
    except _FAILURES as error:
        raise _unreadable(source, name, error) from error


def _unreadable(source: Source, name: str, error: Exception) -> UserError:
    return UserError(f"{name} in {source.root} cannot be read: {_reason(error)}.", "Download or export it anew.")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"it has more than the {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels that are read"
    text = (str(error).splitlines() or [""])[0].rstrip(".: ")
    if "cannot identify" in text:
        return "it is no picture, or its beginning is damaged"  # Pillow's own text shows a memory address
    return text or type(error).__name__


def _walk(root: Path, prefix: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, Path]]:
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise UserError(f"The folder {root} cannot be read: {error.strerror}.", "Check its permissions.") from error
    for entry in entries:
        if entry.name.startswith((".", "__MACOSX")):
            continue
        if entry.is_dir():
            if depth > 1:
                yield from _walk(entry, f"{prefix}{entry.name}/", depth - 1)
        elif entry.suffix.lower() in (*PICTURES, ".zip"):
            yield prefix + entry.name, entry


def _members(path: Path, within: tuple[str, ...], prefix: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names and members of the pictures in a zip and in the zips inside it."""
    with _archive(path, within) as archive:
        for member in sorted(archive.namelist()):
            parts = member.replace("\\", "/").split("/")
            if any(p.startswith((".", "__MACOSX")) for p in parts):
                continue
            name = "/".join([prefix, *parts] if prefix else parts)
            if name.lower().endswith(PICTURES):
                yield name, (*within, member)
            elif name.lower().endswith(".zip") and len(within) < _DEPTH:
                yield from _members(path, (*within, member), name[:-4])


def _archive(path: Path, within: tuple[str, ...]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(_nested(path, within, path.stat().st_mtime_ns)) if within else path)


@lru_cache(maxsize=2)  # unpacking a nested archive anew for each of its pictures would take most of the time
def _nested(path: Path, within: tuple[str, ...], changed: int) -> bytes:
    with _archive(path, within[:-1]) as archive:
        return archive.read(within[-1])
