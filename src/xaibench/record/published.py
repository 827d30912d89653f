"""A published run: all records in one compressed file beside the tables, without maps and images."""

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from xaibench.disk import gunzipped, read_bounded
from xaibench.errors import UserError, first_line
from xaibench.record.schema import Record, encode

RECORDS = "records.jsonl.gz"
TABLES = ("run.json", "leaderboard.csv", "leaderboard.md", "metrics.csv")
LONG_TABLES = ("scores.csv", "segments.csv", "false_positives.csv")  # compressed


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


def read_published(root: Path, decoded: Callable[[bytes], Record]) -> list[Record]:
    """The records of a published run, in the order of their keys.

    Args:
        root: the folder.
        decoded: the record in a line.

    Raises:
        UserError: if any of them is damaged.
    """
    path = root / RECORDS
    try:
        records = {record.map_key: record for record in map(decoded, gunzipped(read_bounded(path)).splitlines())}
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}.", "Get the folder anew.") from error
    return [records[key] for key in sorted(records)]


def _gzipped(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)  # the same bytes at any time
