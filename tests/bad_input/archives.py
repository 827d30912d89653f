"""Zip archives, honest and not, as bytes."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Iterable

Members = Iterable[tuple[str, bytes]]


def packed(members: Members, how: int = zipfile.ZIP_DEFLATED, attributes: int = 0) -> bytes:
    """An archive of these members, whose names may repeat, lead anywhere, or be links (by their attributes)."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", how) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: the constructor cleans it
            info.external_attr = attributes << 16
            archive.writestr(info, content, how)
    return buffer.getvalue()


def _entries(archive: bytes) -> Iterable[tuple[int, int]]:
    """Where each entry of the directory lies, and its local header."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        start = file.start_dir
        offsets = [info.header_offset for info in file.infolist()]
    for offset in offsets:
        yield start, offset
        start += 46 + sum(struct.unpack("<3H", archive[start + 28 : start + 34]))


def declaring(
    archive: bytes,
    *,
    size: int | None = None,
    packed_size: int | None = None,
    method: int | None = None,
    flags: int = 0,
) -> bytes:
    """The archive with other words about its members."""
    changed = bytearray(archive)
    for entry, local in _entries(archive):
        for at, of_size, of_packed, of_method, of_flags in (
            (entry, 24, 20, 10, 8),
            (local, 22, 18, 8, 6),
        ):
            if size is not None:
                changed[at + of_size : at + of_size + 4] = struct.pack("<I", size)
            if packed_size is not None:
                changed[at + of_packed : at + of_packed + 4] = struct.pack("<I", packed_size)
            if method is not None:
                changed[at + of_method : at + of_method + 2] = struct.pack("<H", method)
            changed[at + of_flags] |= flags
    return bytes(changed)
