"""Files as they come: a name can be of anything or of nothing, and a file or a member of an archive of any size."""

import gzip
import io
import os
import secrets
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xaibench.errors import UserError

MOST = 1 << 30  # bytes of one file: 89 million pixels, which is what Pillow reads, of three decimal colours
_BOMB = 64 << 20, 200  # what is larger than this and packed more than so many times over is meant to fill a memory
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Not all systems have both: a pipe is not waited for, and no byte is changed.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def named(path: str | os.PathLike[str]) -> Path:
    """The path that a user typed, a leading ``~`` replaced by the home folder; there may be nothing there.

    Raises:
        UserError: if no file can have that name.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise UserError(f"{text!r} holds a zero character, so no file has that name.", "Check the path.")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{text} begins with ~ and a user who has no home folder here.", "Write it out.") from error


# Whether there is anything, a file that can be read to its end, or a folder of that name. Of a name that is too long or
# holds a zero character, or beyond a folder that is closed, there is nothing.
is_there, is_file, is_folder = os.path.exists, os.path.isfile, os.path.isdir


def read_bounded(path: Path, most: int = MOST) -> bytes:
    """The content of a file; of a named pipe, say, nothing is waited for.

    Args:
        path: of the file.
        most: bytes.

    Raises:
        OSError: if it is absent, no file, larger than ``most`` bytes, or cannot be read.
    """
    _plain_file(path.stat().st_mode)  # before it is opened, which can do something to a device
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        status = os.fstat(file.fileno())
        _plain_file(status.st_mode)
        content = file.read(min(status.st_size, most) + 1)
        if len(content) > status.st_size:  # as some files of the system, whose size is 0
            content += file.read(most)
    if len(content) > most:
        raise OSError(f"it is larger than the {_size(most)} that are read")
    return content


def _plain_file(mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = next((words for test, words in _KINDS if test(mode)), "something else")
        raise OSError(f"it is {what}, not a file")


def write_whole(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file, given whole or in parts, whole or not at all, in a folder that is made if there is none.

    It is written beside its place and renamed, so that a name that exists is a file that is whole. The name beside is
    unique among processes and machines that share the folder, and its leading dot hides it from those that look there.

    Raises:
        UserError: if it cannot be written; nothing is left of it then.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                with temporary.open("wb") as file:
                    file.writelines(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside the block a file or folder is written.

    Raises:
        UserError: for any OSError in the block, with the path.
    """
    try:
        yield
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        hint = "A file is where a folder is to be; give" if in_the_way else "Free the space or give"
        raise UserError(f"{path} cannot be written: {error.strerror or error}.", f"{hint} another --out.") from error


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int = MOST) -> bytes:
    """What a member of a zip archive unpacks to, and no more of it than the archive declares.

    Args:
        archive: that it is in.
        member: which.
        most: bytes.

    Raises:
        ValueError: if it declares more than ``most`` bytes, or is packed as only what fills a memory is.
        Exception: of any kind, if it is damaged, encrypted, or packed in an unknown way.
    """
    size, packed = member.file_size, member.compress_size
    if size > most:
        raise ValueError(f"it declares {_size(size)}, more than the {_size(most)} that are read")
    if size > _BOMB[0] and size > _BOMB[1] * packed:
        raise ValueError(f"it unpacks to {_size(size)} from {_size(packed)}, as only a zip bomb does")
    # What other ways of packing give for one piece is not limited, so that the pieces must be small.
    piece = 1 << 20 if member.compress_type in _PLAIN else 1 << 12
    parts = []
    with archive.open(member) as file:
        while part := file.read(piece):
            parts.append(part)
    content = b"".join(parts)
    if len(content) != size:
        raise ValueError(f"it holds {_size(len(content))} of the {_size(size)} that it declares")
    return content


def gunzipped(content: bytes, most: int = MOST) -> bytes:
    """What the content of a gzip file unpacks to.

    Raises:
        ValueError: if that is more than ``most`` bytes, or packed as only what fills a memory is.
        OSError, EOFError, zlib.error: if it is damaged.
    """
    limit = min(most, max(_BOMB[0], _BOMB[1] * len(content)))
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        unpacked = file.read(limit + 1)
    if len(unpacked) > most:
        raise ValueError(f"it unpacks to more than the {_size(most)} that are read")
    if len(unpacked) > limit:
        raise ValueError(f"it unpacks to {_size(limit)} and more from {_size(len(content))}, as only a bomb does")
    return unpacked


def _size(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count >= 1e5 else f"{count} bytes"
