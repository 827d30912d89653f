"""The images in a folder or a zip archive."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from xaibench.data.io import archive
from xaibench.data.io.decode import grey_pixels, rgb_pixels
from xaibench.disk import gunzipped, is_file, is_folder, is_there, named, read_bounded
from xaibench.errors import UserError, first_line

IMAGES = (".tif", ".tiff", ".gif", ".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".bmp")  # endings
_LISTED = (*IMAGES, *(f"{ending}.gz" for ending in IMAGES))
_MOST_ENTRIES = 100_000  # files and folders: no dataset has so many, a whole disk does

Location = tuple[Path, tuple[str, ...]]  # a file on disk and the members of nested zips that lead to an image


@dataclass(frozen=True)
class Source:
    """The images below a folder or in a zip archive; an archive inside counts as a folder of its name.

    An image may be compressed by itself, as ``01.ppm.gz``.

    Attributes:
        root: the folder or archive.
        files: relative name with forward slashes to the location. Plain files come before zipped ones, each in
            alphabetical order.
        broken: one sentence for each archive that cannot be read.
    """

    root: Path
    files: Mapping[str, Location] = field(repr=False)
    broken: tuple[str, ...] = ()


def open_source(path: str | os.PathLike[str]) -> Source:
    """List the images of a folder or zip archive, up to five levels down.

    Hidden files, and what is no regular file, such as a named pipe, are skipped.

    Raises:
        UserError: if the path does not exist, is a file but no zip archive, or holds a whole disk.
    """
    root = named(path)
    try:  # not always resolved: a symbolic link keeps the name that the user knows
        root = root.resolve() if ".." in root.parts else root.absolute()
    except (OSError, RuntimeError):  # links that lead to each other
        root = root.absolute()
    if not is_there(root):
        raise UserError(f"There is no folder or zip archive {root}.", "Check the path.")
    if not is_folder(root) and not (is_file(root) and root.suffix.lower() == ".zip"):
        explain = f", or explain one image with `xaibench explain {root}`" if root.suffix.lower() in IMAGES else ""
        raise UserError(
            f"{root} is neither a folder nor a zip archive.", f"Give the folder that the images are in{explain}."
        )
    plain: dict[str, Location] = {}
    zipped: dict[str, Location] = {}
    broken: list[str] = []
    for name, file in _walk(root) if is_folder(root) else [("", root)]:
        if file.suffix.lower() != ".zip":
            plain[name] = (file, ())
            continue
        try:
            members, unreadable = archive.members(file, _LISTED, name[:-4])
        except Exception as error:  # a damaged archive can raise anything
            broken.append(f"{file} is not a readable zip archive: {first_line(error)}.")
        else:
            zipped |= {inner: (file, chain) for inner, chain in members.items()}
            broken += unreadable
    return Source(root, plain | {k: v for k, v in zipped.items() if k not in plain}, tuple(broken))


def read_image(source: Source, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB, see :func:`~xaibench.data.io.decode.rgb_pixels`.

    Raises:
        UserError: if the file is truncated, unreadable, or it is not clear which of its values is white.
    """
    return _decoded(source, name, rgb_pixels)


def read_mask(source: Source, name: str) -> np.ndarray:
    """(H, W) bool: true where the image, as grey, is above half of white; where it is 1 in an image of 0 and 1.

    Raises:
        UserError: if the file is truncated or unreadable, or its brightest value is neither 0, 1 nor above 127.
    """
    grey = _decoded(source, name, grey_pixels)
    top = int(grey.max(initial=0))
    if 1 < top <= 127:
        raise UserError(
            f"The mask {name} in {source.root} has values up to {top}, so it is not clear what is vessel.",
            "Save it with 0 for background and 255 for vessel.",
        )
    return grey > (0 if top == 1 else 127)


def _decoded(source: Source, name: str, decode: Callable[[bytes], np.ndarray]) -> np.ndarray:
    path, members = source.files[name]
    try:
        content = archive.read(path, members) if members else read_bounded(path)
        return decode(gunzipped(content) if name.lower().endswith(".gz") else content)
    except Exception as error:  # a damaged file can raise anything
        reason = f"{name} in {source.root} cannot be read: {first_line(error)}."
        raise UserError(reason, "Download or export it anew.") from error


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of the images and archives below a folder, folder by folder in alphabetical order."""

    def refuse(error: OSError) -> None:
        raise UserError(
            f"The folder {error.filename} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error

    entries = 0
    for place, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        entries += len(folders) + len(files)
        if entries > _MOST_ENTRIES:
            raise UserError(
                f"There are more than {_MOST_ENTRIES} files below {root}.", "Give the folder that the images are in."
            )
        folder, real = Path(place), Path(os.path.realpath(place))
        relative = folder.relative_to(root)
        for name in sorted(files):
            listed = name.lower().endswith((*_LISTED, ".zip")) and not name.startswith(archive.HIDDEN)
            if listed and is_file(folder / name):
                yield (relative / name).as_posix(), folder / name
        above = (real, *real.parents)  # a link to one of them leads back
        folders[:] = sorted(
            name
            for name in folders
            if len(relative.parts) + 1 < archive.DEPTH
            and not name.startswith(archive.HIDDEN)
            and Path(os.path.realpath(folder / name)) not in above
        )
