"""An index of a run's records, so that a million of them are looked through without parsing a million files.

The files under ``cells/`` alone say what is there. ``index/ab`` holds, for the folder ``cells/ab``, what its records
say beside their curves, each entry with the times and the size of the file it was read from. Whoever reads compares
these with the folder's files: what is new, changed, damaged or unknown is read from its file, and what has no file any
more counts for nothing. So nothing is lost but time where the index is deleted, old, torn, or copied from elsewhere.

Entries are appended, in one system call each, so that several processes can write; who reads puts the file in order.
"""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from xaibench.disk import write_whole
from xaibench.record.entry import Entry, Layout, Stamp, pack, spans, stamp_of
from xaibench.record.schema import Record

# A file that changed less than this ago could change again without its times showing it: their steps are some ms on
# most file systems, and up to 2 s on a few. Such a file is read, and not entered yet.
SETTLED = 2_100_000_000  # ns
_PATIENCE = 4096  # cells that wait for their entries


@dataclass(frozen=True)
class Folder:
    """The records of one folder below ``cells``.

    Attributes:
        entries: one per readable record, sorted by key.
        odd: records that no entry can say exactly, sorted by key; with their curves.
        damaged: each file that is no record, with the reason, sorted.
    """

    entries: list[Entry] = field(default_factory=list)
    odd: list[Record] = field(default_factory=list)
    damaged: list[tuple[Path, str]] = field(default_factory=list)

    def records(
        self, wanted: Callable[[str], bool] = lambda key: True, scores: Callable[[int], bool] = lambda code: True
    ) -> list[Record]:
        """Its records in the order of their keys, without curves.

        Args:
            wanted: whether the record of a key is.
            scores: whether those of a status are, by its place in ``STATUSES``; ``odd`` records have all of theirs.
        """
        found = [e.record(scores) for e in self.entries if wanted(e.map_key)]
        found += [r for r in self.odd if wanted(r.map_key)]
        return sorted(found, key=attrgetter("map_key"))


class Index:
    """The index of one run's folder.

    Args:
        root: the run's folder.
        parse: reads the file of a record; OSError or ValueError where it holds none.
    """

    def __init__(self, root: Path, parse: Callable[[Path], Record]) -> None:
        self.root = root
        self._parse = parse
        self._waiting: deque[str] = deque()
        self._seen: dict[str, tuple[Stamp, array[int], Folder]] = {}
        self._layouts: dict[bytes, Layout | None] = {}
        self._identities: dict[str, frozenset[str]] = defaultdict(frozenset)

    def recognise(self, identities: Iterable[tuple[str, str]]) -> None:
        """Have the keys of scores with these (metric's name, identity) kept as their identities, which takes no room
        and answers for all maps at once whether a score is there."""
        for metric, identity in identities:
            self._identities[metric] |= {identity}

    def note(self, key: str) -> None:
        """A record was written: enter it once its file has settled, which later calls see to."""
        if len(self._waiting) < _PATIENCE:  # who reads finds the others
            self._waiting.append(key)
        while self._waiting:
            path = self._cell(self._waiting[0])
            try:
                stamp = stamp_of(path.stat())
                if not _settled(stamp):
                    return
                self._append(path.parent.name, [pack(self._parse(path), stamp, self._identities)])
            except (OSError, ValueError):
                pass
            self._waiting.popleft()

    def prefixes(self) -> list[str]:
        """The folders below ``cells``, sorted."""
        try:
            with os.scandir(self.root / "cells") as found:
                return sorted(f.name for f in found if len(f.name) == 2 and f.is_dir())
        except OSError:
            return []

    def folders(self) -> Iterator[Folder]:
        """All folders, as :meth:`read` gives them."""
        return map(self.read, self.prefixes())

    def read(self, prefix: str) -> Folder:
        """What is in a folder now, by the index where it holds and by the files where it does not; mends the index.

        Only the order of the directory's own listing and each file's times and size are asked of the file system for a
        record whose entry holds.
        """
        before, log = self._log(prefix)
        known: dict[str, tuple[Stamp, bytes, int, int]] = {}
        whole = 0
        for key, stamp, digest, start, end in spans(log):
            known[key.hex()] = stamp, digest, start, end
            whole = end
        folder = Folder()
        fresh: list[tuple[bytes, Layout]] = []
        kept: list[bytes] = []
        places = array("Q")
        for name, stamp in self._listing(prefix):
            entry = known.get(name)
            if entry is not None and entry[0] == stamp:
                _, digest, start, end = entry
                layout = self._layout(digest)
                if layout is not None:
                    kept.append(log[start:end])
                    places.extend((start, end))
                    folder.entries.append(Entry(kept[-1], layout))
                    continue
            self._read_file(folder, self.root / "cells" / prefix / f"{name}.json", stamp, fresh)
        if whole < len(log) or 2 * sum(map(len, kept)) < len(log):
            self._rewrite(prefix, kept)
        if fresh:
            self._append(prefix, fresh)
        rest = Folder([], folder.odd, folder.damaged)
        self._seen.pop(prefix, None)
        if len(folder.entries) == len(kept) and before is not None:
            self._seen[prefix] = before, places, rest
        return folder

    def read_again(self, prefix: str) -> Folder:
        """What :meth:`read` gave, by the index alone as long as that is as it was; else as :meth:`read`."""
        before, log = self._log(prefix)
        seen = self._seen.get(prefix)
        if seen is None or before != seen[0]:
            return self.read(prefix)
        entries = []
        places = iter(seen[1])
        for start, end in zip(places, places, strict=True):
            data = log[start:end]
            layout = self._layout(Entry.layout_digest(data))
            if layout is None:
                return self.read(prefix)
            entries.append(Entry(data, layout))
        return Folder(entries, seen[2].odd, seen[2].damaged)

    def _read_file(self, folder: Folder, path: Path, stamp: Stamp, fresh: list[tuple[bytes, Layout]]) -> None:
        try:
            record = self._parse(path)
        except (OSError, ValueError) as error:
            folder.damaged.append((path, str(error)))
            return
        try:
            entry, layout = pack(record, stamp, self._identities)
        except ValueError:
            folder.odd.append(record)
            return
        folder.entries.append(Entry(entry, layout))
        if _settled(stamp):
            fresh.append((entry, layout))

    def _listing(self, prefix: str) -> list[tuple[str, Stamp]]:
        found = []
        with contextlib.suppress(OSError), os.scandir(self.root / "cells" / prefix) as files:
            for file in files:
                name = file.name
                if name.endswith(".json") and not name.startswith("."):
                    with contextlib.suppress(OSError):  # it has just been replaced or removed
                        found.append((name[:-5], stamp_of(file.stat())))
        return sorted(found)

    def _cell(self, key: str) -> Path:
        return self.root / "cells" / key[:2] / f"{key}.json"

    def _path(self, prefix: str) -> Path:
        return self.root / "index" / prefix

    def _log(self, prefix: str) -> tuple[Stamp | None, bytes]:
        """The entries of a folder, and the stamp of their file if there is one."""
        try:
            with self._path(prefix).open("rb") as file:
                return stamp_of(os.fstat(file.fileno())), file.read()
        except OSError:
            return None, b""

    def _layout_path(self, digest: bytes) -> Path:
        return self.root / "index" / "layouts" / f"{digest.hex()}.json"

    def _layout(self, digest: bytes) -> Layout | None:
        """The layout of that digest; None if it is absent or damaged."""
        if digest not in self._layouts:
            found = None
            with contextlib.suppress(OSError, ValueError, TypeError):
                found = Layout.from_text(self._layout_path(digest).read_text("utf-8"))
            self._layouts[digest] = found if found is not None and found.digest == digest else None
        return self._layouts[digest]

    def _keep_layouts(self, layouts: Iterable[Layout]) -> None:
        for layout in {layout.digest: layout for layout in layouts}.values():
            path = self._layout_path(layout.digest)
            if self._layouts.get(layout.digest) is None or not path.exists():
                write_whole(path, layout.text.encode())
                self._layouts[layout.digest] = layout

    def _append(self, prefix: str, packed: list[tuple[bytes, Layout]]) -> None:
        with contextlib.suppress(OSError):  # a run that cannot be written to is read without an index
            self._keep_layouts(layout for _, layout in packed)
            path = self._path(prefix)
            path.parent.mkdir(exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            try:
                os.write(file, b"".join(entry for entry, _ in packed))
            finally:
                os.close(file)

    def _rewrite(self, prefix: str, entries: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            write_whole(self._path(prefix), b"".join(entries))


def _settled(stamp: Stamp) -> bool:
    return max(stamp[:2]) < time.time_ns() - SETTLED
