"""A published run: all records in one compressed file beside the tables, without maps and images."""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
import shutil
import tempfile
import zlib
from pathlib import Path

from xaibench import cache
from xaibench.disk import gunzipped, is_file, read_bounded
from xaibench.errors import UserError, first_line
from xaibench.record.schema import Record, decode, encode

RECORDS = "records.jsonl.gz"
TABLES = ("run.json", "leaderboard.csv", "leaderboard.md", "metrics.csv")
LONG_TABLES = ("scores.csv", "segments.csv", "false_positives.csv")  # compressed
READ_BESIDE = ("run.json", "false_positives.csv.gz")  # what leaderboards and claims read besides records
MOST = 1 << 30  # bytes of all records, unpacked
_KEY = re.compile(r"[0-9a-f]{24}")


def publish(root: Path, records: list[Record], out: Path) -> list[Path]:
    """Write what may be passed on of a run to another folder; returns the files.

    Args:
        root: the run's folder, with its tables.
        records: its records.
        out: the folder to write to; files of an earlier time are replaced.

    Raises:
        OSError: if it cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = b"".join(encode(r) + b"\n" for r in sorted(records, key=lambda r: r.map_key))
    contents = {RECORDS: _gzipped(lines)}
    contents |= {name: (root / name).read_bytes() for name in TABLES if (root / name).is_file()}
    contents |= {f"{name}.gz": _gzipped((root / name).read_bytes()) for name in LONG_TABLES if (root / name).is_file()}
    for name, content in contents.items():
        (out / name).write_bytes(content)
    return [out / name for name in contents]


def is_published(root: Path) -> bool:
    """Whether the folder holds a run as :func:`publish` writes it."""
    return is_file(root / RECORDS)


def unpacked(root: Path) -> Path:
    """The folder of a run with the published records, in the user's cache, where it is made once.

    ``run.json`` and the false positives lie beside the records.

    Raises:
        UserError: if a file is damaged, or the cache cannot be written.
    """
    source = root / RECORDS
    try:
        raw = read_bounded(source, MOST)
        beside = {name: read_bounded(root / name) for name in READ_BESIDE if is_file(root / name)}
        digest = hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in (raw, *beside.values()))).hexdigest()[:24]
        folder = _cache_folder() / digest
        if folder.is_dir():
            return folder
        part = folder.with_name(f"{digest}.{secrets.token_hex(4)}.part")
        try:
            _unpack_records(gunzipped(raw, MOST), part)
            for name, content in beside.items():
                source = root / name
                unpacked = gunzipped(content, MOST) if name.endswith(".gz") else content
                (part / name.removesuffix(".gz")).write_bytes(unpacked)
            _rename(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{source} cannot be read: {first_line(error)}.", "Get the folder anew.") from error
    return folder


def _unpack_records(lines: bytes, out: Path) -> None:
    out.mkdir(parents=True)
    for line in lines.splitlines():
        key = decode(line).map_key
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a record")
        path = out / "cells" / key[:2] / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(line)


def _rename(part: Path, folder: Path) -> None:
    """Give a folder its name, unless another process was faster: then both have the same content."""
    try:
        part.rename(folder)
    except OSError:  # which one depends on the platform, and on whether the other folder is empty
        if not folder.is_dir():
            raise


def _cache_folder() -> Path:
    try:
        folder = cache.folder("published")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or a home that cannot be written
        folder = Path(tempfile.gettempdir()) / "xaibench-published"
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)  # the same bytes at any time
