"""The folder of a run: records and maps by their keys, written atomically; folders merge by copying."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from xaibench.disk import MOST, is_file, is_folder, is_there, named, read_bounded, write_whole
from xaibench.errors import UserError, first_line
from xaibench.record import maps, npz
from xaibench.record.lock import locked
from xaibench.record.manifest import Manifest
from xaibench.record.published import RECORDS, read_published
from xaibench.record.schema import Record, decode, decode_without_curves, encode
from xaibench.record.score_table import csv_parts

if TYPE_CHECKING:
    import numpy as np

Report = Callable[[Path, str], object]  # is given each damaged file and the reason
_Content = TypeVar("_Content")


def ignore(path: Path, reason: str) -> None:
    """A report that nobody reads."""


TEXT = 64 << 20  # bytes of a record


class Store:
    """The folder of one run.

    ``run.json`` is its manifest. Every record and map has a checksum; a damaged file counts as absent, and ``report``
    is given it.

    Args:
        root: the folder; it need not exist before something is written.
        report: called once with each damaged file, and the reason; by default a warning is logged.
        published: whether the folder is read as :func:`~xaibench.record.published.publish` writes it: all records are
            in one file, and there are no maps.
    """

    def __init__(self, root: str | Path, report: Report | None = None, published: bool = False) -> None:
        self.root = Path(root)
        self.report = report or _log
        self.published = published
        self._told: set[Path] = set()

    @classmethod
    def open(cls, root: str | Path) -> Store:
        """The store of a run that exists, also of one as it is published, see :mod:`xaibench.record.published`.

        Raises:
            UserError: if the folder is not there or holds no run.
        """
        path = named(root)
        if not is_there(path):
            raise UserError(f"There is no folder {path}.", f"`xaibench run --out {path}` would make it.")
        computed, published = is_folder(path / "cells"), is_file(path / RECORDS)
        if not computed and not published and not is_file(path / "run.json"):
            raise UserError(
                f"{path} is not the folder of a run: it has neither run.json nor cells.",
                "Give the folder that `xaibench run --out` named.",
            )
        return cls(path, published=published and not computed)

    def locked(self, say: Callable[[str], object] = lambda words: None) -> AbstractContextManager[None]:
        """Keep other runs out of the folder while the block lasts, see :func:`~xaibench.record.lock.locked`."""
        return locked(self.root / ".lock", say)

    def damaged(self, path: Path, reason: str) -> None:
        """Give ``report`` a damaged file, once."""
        if path not in self._told:
            self._told.add(path)
            self.report(path, reason.rstrip("."))

    def write_run(self, manifest: Manifest) -> None:
        """Write ``run.json``.

        Raises:
            UserError: if the folder cannot be written.
        """
        write_whole(self.root / "run.json", manifest.encode())

    def read_run(self) -> Manifest:
        """The run's manifest; an empty one where ``run.json`` is absent.

        Raises:
            UserError: if the file is damaged.
        """
        path = self.root / "run.json"
        try:
            return Manifest.decode(read_bounded(path, TEXT))
        except FileNotFoundError:
            return Manifest()
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {first_line(error)}.", "Run the same command again.") from error

    def cell_path(self, key: str) -> Path:
        """Where the record of that map key is kept."""
        return self.root / "cells" / key[:2] / f"{key}.json"

    def arrays_path(self, kind: str, key: str) -> Path:
        """Where the arrays of that kind, such as ``"pictures"``, and key are kept."""
        return self.root / kind / key[:2] / f"{key}.npz"

    def map_path(self, key: str) -> Path:
        """Where the map of that key is kept."""
        return self.arrays_path("maps", key)

    def write(self, record: Record, attribution: np.ndarray | None = None) -> Record:
        """Keep a record and its map, replacing what was there.

        The map goes first: whoever finds the record finds its map.

        Args:
            record: kept under ``record.map_key``.
            attribution: (H, W) finite real numbers, or None to leave a map that is already there as it is.

        Returns:
            The record as it is kept, with the digest of its map.

        Raises:
            ValueError: if the map is not two-dimensional or not finite.
            UserError: if the folder cannot be written.
        """
        if attribution is not None:
            content, digest = maps.pack(attribution)
            write_whole(self.map_path(record.map_key), content)
            record = replace(record, map_digest=digest)
        write_whole(self.cell_path(record.map_key), encode(record))
        return record

    def read(self, key: str) -> Record | None:
        """The record of that map key; None if it is absent or damaged, which to a run is the same.

        Nor is there a record if its map was changed: maps are not all read, only those that are newer than the record.
        """
        record = _load(self.cell_path(key), partial(_record, key, decode), self.damaged, TEXT)
        return None if record and self.map_is_newer(key) and self.load_map(record) is None else record

    def map_is_newer(self, key: str) -> bool:
        """Whether a map was written after its record, which no run does."""
        try:
            return self.map_path(key).stat().st_mtime_ns > self.cell_path(key).stat().st_mtime_ns
        except OSError:  # no map: it may have been removed for its size
            return False

    def stream(self, report: Report = ignore) -> Iterator[Record]:
        """The records without their curves, in the order of their keys, one in memory at a time.

        A record that appears or vanishes meanwhile is left out or not; either way the others come.

        Args:
            report: called with each damaged file and the reason.
        """
        return self._each(decode_without_curves, report)

    def records(self, report: Report = ignore) -> Iterator[Record]:
        """As :meth:`stream`, with curves."""
        return self._each(decode, report)

    def scan(self) -> tuple[list[Record], list[tuple[Path, str]]]:
        """All records, and each damaged file with the reason."""
        damaged: list[tuple[Path, str]] = []
        return list(self.records(lambda path, reason: damaged.append((path, reason)))), damaged

    def _each(self, decoded: Callable[[bytes], Record], report: Report) -> Iterator[Record]:
        if self.published:
            yield from read_published(self.root, decoded)
            return
        cells = self.root / "cells"
        for prefix in (name for name in _listed(cells) if len(name) == 2):
            folder = cells / prefix
            for name in _listed(folder):
                if name.endswith(".json") and not name.startswith("."):
                    record = _load(folder / name, partial(_record, name[:-5], decoded), report, TEXT)
                    if record is not None:
                        yield record

    def load_map(self, of: Record | str) -> np.ndarray | None:
        """(H, W) float32, the map as :func:`as_stored` gives it; None if it is absent or damaged.

        Args:
            of: the record whose map it is, or its key alone: then any undamaged map of that name will do.
        """
        key, digest = (of, "") if isinstance(of, str) else (of.map_key, of.map_digest)
        return _load(self.map_path(key), partial(maps.unpack, digest=digest), self.damaged)

    def write_arrays(self, kind: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep named arrays, replacing what was there.

        Raises:
            UserError: if the folder cannot be written.
        """
        write_whole(self.arrays_path(kind, key), npz.pack(arrays))

    def load_arrays(self, kind: str, key: str) -> dict[str, np.ndarray] | None:
        """What :meth:`write_arrays` kept; None if it is absent or damaged."""
        return _load(self.arrays_path(kind, key), npz.unpack, self.damaged)

    def write_scores(self) -> Path:
        """Write ``scores.csv``, one line per score with the columns :data:`SCORE_COLUMNS`; returns its path."""
        path = self.root / "scores.csv"
        write_text(path, csv_parts(self.stream(), self.root))
        return path


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a UTF-8 text file, given whole or in parts, whole or not at all.

    Raises:
        UserError: if the folder cannot be written.
    """
    write_whole(path, text.encode() if isinstance(text, str) else (part.encode() for part in text))


def _load(path: Path, decoded: Callable[[bytes], _Content], report: Report, most: int = MOST) -> _Content | None:
    """What a file of at most so many bytes holds; None if it is absent, or damaged, of which there is a report."""
    try:
        return decoded(read_bounded(path, most))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        report(path, str(error) or type(error).__name__)
        return None


def _record(key: str, decoded: Callable[[bytes], Record], content: bytes) -> Record:
    record = decoded(content)
    if record.map_key != key:
        raise ValueError(f"it holds the record of another key, {record.map_key}")
    return record


def _listed(folder: Path) -> list[str]:
    """Names in a folder, sorted; none if it cannot be read."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - a million paths take longer than their names
    except OSError:
        return []


def _log(path: Path, reason: str) -> None:
    logging.getLogger("xaibench").warning("%s is damaged and counts as missing: %s.", path, reason)
