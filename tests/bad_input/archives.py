"""Zip archives, honest and not, as bytes."""

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


# What an archive declares of a member: the place in the directory's entry, that in the local header, and the type.
NUMBERS = {"size": (24, 22, "<I"), "packed_size": (20, 18, "<I"), "method": (10, 8, "<H")}


def declaring(archive: bytes, *, flags: int = 0, **numbers: int | None) -> bytes:
    """The archive with other numbers, see ``NUMBERS``, and more flags of its members; None for the true number."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        entry, local_headers = file.start_dir, [info.header_offset for info in file.infolist()]
    changed = bytearray(archive)
    for local in local_headers:
        for name, value in numbers.items():
            in_entry, in_local, kind = NUMBERS[name]
            if value is not None:
                struct.pack_into(kind, changed, entry + in_entry, value)
                struct.pack_into(kind, changed, local + in_local, value)
        changed[entry + 8] |= flags
        changed[local + 6] |= flags
        entry += 46 + sum(struct.unpack("<3H", archive[entry + 28 : entry + 34]))  # fixed part, name, extra, comment
    return bytes(changed)
