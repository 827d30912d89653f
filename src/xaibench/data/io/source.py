"""Pictures out of a folder or a zip archive, as one downloads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xaibench.data.io import archive
from xaibench.data.io.decode import Unreadable, grey_pixels, rgb_pixels
from xaibench.disk import gunzipped, is_file, is_folder, is_there, named, read_bounded
from xaibench.errors import UserError, first_line

PICTURES = (".tif", ".tiff", ".gif", ".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp")
_LISTED = (*PICTURES, *(f"{ending}.gz" for ending in PICTURES))
_ENTRIES = 100_000  # files and folders that are looked at: no dataset has so many, a whole disk does


@dataclass(frozen=True)
class Source:
    """The pictures below a folder or in a zip archive; a zip inside counts as a folder of its name.

    A picture may be compressed by itself, ``01.ppm.gz``.

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
            content = archive.read(path, members) if members else read_bounded(path)
            return gunzipped(content) if name.lower().endswith(".gz") else content
        except Exception as error:  # a damaged archive can make it fail in any way at all
            raise _unreadable(self, name, error) from error


def open_source(path: str | os.PathLike[str]) -> Source:
    """List the pictures of a folder or zip archive, up to five levels down.

    Hidden files are passed over, and so is what is no file, such as a named pipe.

    Raises:
        UserError: if there is nothing of that name, it is a file but no zip archive, or holds a whole disk.
    """
    root = _rooted(named(path))
    if not is_there(root):
        raise UserError(f"There is no folder or zip archive {root}.", "Check the path.")
    if not is_folder(root) and not (is_file(root) and root.suffix.lower() == ".zip"):
        hint = "Give the folder that the pictures are in"
        one = f", or explain one picture with `xaibench explain {root}`" if root.suffix.lower() in PICTURES else ""
        raise UserError(f"{root} is neither a folder nor a zip archive.", f"{hint}{one}.")
    plain: dict[str, tuple[Path, tuple[str, ...]]] = {}
    zipped: dict[str, tuple[Path, tuple[str, ...]]] = {}
    broken: list[str] = []
    for name, file in _walk(root) if is_folder(root) else [("", root)]:
        if file.suffix.lower() != ".zip":
            plain[name] = (file, ())
            continue
        try:
            found, unreadable = archive.members(file, _LISTED, name[:-4])
        except Exception as error:  # a damaged archive can make it fail in any way at all
            found, unreadable = {}, [f"{file} is not a readable zip archive: {first_line(error)}."]
        zipped |= {inner: (file, chain) for inner, chain in found.items()}
        broken += unreadable
    return Source(root, plain | {k: v for k, v in zipped.items() if k not in plain}, tuple(broken))


def read_image(source: Source, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB, see :func:`~xaibench.data.io.decode.rgb_pixels`.

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
    except Unreadable as error:
        raise _unreadable(source, name, error) from error


def _unreadable(source: Source, name: str, error: Exception) -> UserError:
    return UserError(f"{name} in {source.root} cannot be read: {first_line(error)}.", "Download or export it anew.")


def _rooted(path: Path) -> Path:
    """The path from the root on; a link keeps the name that the user knows."""
    try:
        return path.resolve() if ".." in path.parts else path.absolute()
    except (OSError, RuntimeError):  # links that lead to each other
        return path.absolute()


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of the pictures and archives below a folder, in alphabetical order."""
    left = _ENTRIES

    def below(folder: Path, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, Path]]:
        nonlocal left
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
            status = folder.stat()
        except OSError as error:
            raise UserError(
                f"The folder {folder} cannot be read: {error.strerror}.", "Check its permissions."
            ) from error
        left -= len(entries)
        if left < 0:
            raise UserError(
                f"There are more than {_ENTRIES} files below {root}.", "Give the folder that the pictures are in."
            )
        here = (status.st_dev, status.st_ino)
        if here in above:  # a link back to where we came from
            return
        for entry in entries:
            if entry.name.startswith((".", "__MACOSX")):
                continue
            kind = _kind(entry)
            if kind == "folder" and len(above) + 1 < archive.DEPTH:
                yield from below(folder / entry.name, f"{prefix}{entry.name}/", (*above, here))
            elif kind == "file" and entry.name.lower().endswith((*_LISTED, ".zip")):
                yield prefix + entry.name, folder / entry.name

    return below(root, "", ())


def _kind(entry: os.DirEntry[str]) -> str:
    """``"folder"``, ``"file"``, or nothing for a pipe, a device, or links that lead to each other."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else ""
    except OSError:
        return ""
