"""A run without its pictures, small enough to publish: all records in one compressed file, beside the tables.

Nothing in it shows a picture: maps, the outlines and photographs of a report, and films stay behind.
"""

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
from xaibench.record.checksum import seal, unseal
from xaibench.record.schema import Record

RECORDS = "records.jsonl.gz"
TABLES = ("run.json", "leaderboard.csv", "leaderboard.md", "metrics.csv")
LONG_TABLES = ("scores.csv", "segments.csv", "false_positives.csv")  # compressed
READ_BESIDE = ("run.json", "false_positives.csv.gz")
MOST = 1 << 30  # bytes of all records, unpacked
_KEY = re.compile(r"[0-9a-f]{24}")


def publish(root: Path, records: list[Record], out: Path) -> list[Path]:
    """Write what may be passed on of a run to another folder; returns the files.

    Args:
        root: the run's folder, with its tables.
        records: its records.
        out: the folder to write to; what is there of a former time is replaced.

    Raises:
        OSError: if it cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = "".join(seal(r.to_json()) + "\n" for r in sorted(records, key=lambda r: r.map_key))
    contents = {RECORDS: _packed(lines.encode())}
    contents |= {name: (root / name).read_bytes() for name in TABLES if (root / name).is_file()}
    contents |= {f"{name}.gz": _packed((root / name).read_bytes()) for name in LONG_TABLES if (root / name).is_file()}
    for name, content in contents.items():
        (out / name).write_bytes(content)
    return [out / name for name in contents]


def is_published(root: Path) -> bool:
    """Whether the folder holds a run as :func:`publish` writes it."""
    return is_file(root / RECORDS)


def unpacked(root: Path) -> Path:
    """The folder of a run with the published records in it as a run keeps them; made once, in the user's cache.

    What the reading side reads beside them, ``run.json`` and the false positives, is there, too.

    Raises:
        UserError: if the records are damaged.
    """
    source = root / RECORDS
    try:
        raw = read_bounded(source, MOST)
        beside = {name: read_bounded(root / name) for name in READ_BESIDE if is_file(root / name)}
        digest = hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in (raw, *beside.values()))).hexdigest()[:24]
        folder = _kept(digest)
        if folder.is_dir():
            return folder
        part = folder.with_name(f"{digest}.{secrets.token_hex(4)}.part")
        try:
            for line in gunzipped(raw, MOST).splitlines():
                content = unseal(line)
                key = Record.from_json(content).map_key
                if not _KEY.fullmatch(key):
                    raise ValueError(f"{key!r} is no key of a record")
                path = part / "cells" / key[:2] / f"{key}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(line)
            part.mkdir(parents=True, exist_ok=True)
            for name, kept in beside.items():
                source = root / name
                (part / name.removesuffix(".gz")).write_bytes(gunzipped(kept, MOST) if name.endswith(".gz") else kept)
            part.rename(folder)
        except FileExistsError:  # another process was quicker
            pass
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{source} cannot be read: {first_line(error)}.", "Get the folder anew.") from error
    return folder


def _kept(digest: str) -> Path:
    try:
        parent = cache.folder("published")
        parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # there is no home, or none that can be written to
        parent = Path(tempfile.gettempdir()) / "xaibench-published"
        parent.mkdir(parents=True, exist_ok=True)
    return parent / digest


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)  # the same bytes whenever it is done
