"""A run's folder: records found by their key, written whole or not at all, and merged by copying folders together."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaibench.errors import UserError
from xaibench.record.index import Index
from xaibench.record.schema import Record
from xaibench.record.scores import csv_parts

if TYPE_CHECKING:
    import numpy as np

_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)  # what reading an archive can raise


class Store:
    """The folder of one run.

    ``run.json`` holds what was asked. Of its fields this side reads ``dataset`` and ``cases`` (a list of case ids), so
    that a case which no cell has reached yet counts as missing instead of not at all.

    Args:
        root: the folder; it need not exist before something is written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.index = Index(self.root, _parse)

    @classmethod
    def open(cls, root: str | Path) -> Store:
        """The store of a run that exists.

        Raises:
            UserError: if the folder is not there or holds no run.
        """
        path = Path(root)
        if not path.exists():
            raise UserError(f"There is no folder {path}.", f"`xaibench run --out {path}` would make it.")
        if not (path / "run.json").is_file() and not (path / "cells").is_dir():
            raise UserError(
                f"{path} is not the folder of a run: it has neither run.json nor cells.",
                "Give the folder that `xaibench run --out` named.",
            )
        return cls(path)

    def write_run(self, asked: dict[str, Any]) -> None:
        """Write ``run.json``: what was asked, in plain JSON types."""
        write_text(self.root / "run.json", json.dumps(asked, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_run(self) -> dict[str, Any]:
        """What was asked; empty where ``run.json`` is absent.

        Raises:
            UserError: if the file is damaged.
        """
        path = self.root / "run.json"
        try:
            asked = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}.", "Run the same command again.") from error
        if not isinstance(asked, dict):
            raise UserError(f"{path} does not hold what a run asked for.", "Run the same command again.")
        return asked

    def cell_path(self, key: str) -> Path:
        """Where the record of that map key is kept."""
        return self.root / "cells" / key[:2] / f"{key}.json"

    def map_path(self, key: str) -> Path:
        """Where the map of that key is kept."""
        return self.root / "maps" / key[:2] / f"{key}.npz"

    def write(self, record: Record, attribution: np.ndarray | None = None) -> None:
        """Keep a record and its map, replacing what was there.

        The map goes first: whoever finds the record finds its map.

        Args:
            record: kept under ``record.map_key``.
            attribution: (H, W) finite real numbers, or None to leave a map that is already there as it is.

        Raises:
            ValueError: if the map is not two-dimensional or not finite.
            UserError: if the folder cannot be written.
        """
        if attribution is not None:
            _write(self.map_path(record.map_key), _pack(attribution))
        text = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        write_text(self.cell_path(record.map_key), text)
        self.index.note(record.map_key)

    def read(self, key: str) -> Record | None:
        """The record of that map key; None if it is absent or damaged, which to a run is the same."""
        path = self.cell_path(key)
        try:
            return _parse(path)
        except (OSError, ValueError):
            return None

    def scan(self) -> tuple[list[Record], list[tuple[Path, str]]]:
        """All records in the order of their keys, and each damaged file with the reason."""
        good, damaged = [], []
        for path in sorted(self.root.glob("cells/??/[!.]*.json")):
            try:
                good.append(_parse(path))
            except (OSError, ValueError) as error:
                damaged.append((path, str(error)))
        return good, damaged

    def records(self) -> Iterator[Record]:
        """The undamaged records in the order of their keys."""
        return iter(self.scan()[0])

    def load_map(self, key: str) -> np.ndarray | None:
        """(H, W) float32, the map as :func:`as_stored` gives it; None if it is absent or damaged."""
        try:
            return _unpack(self.map_path(key).read_bytes())
        except _DAMAGE:
            return None

    def arrays_path(self, kind: str, key: str) -> Path:
        """Where the arrays of that kind, such as ``"pictures"``, and key are kept."""
        return self.root / kind / key[:2] / f"{key}.npz"

    def write_arrays(self, kind: str, key: str, arrays: Mapping[str, Any]) -> None:
        """Keep named arrays or numbers, replacing what was there.

        Raises:
            UserError: if the folder cannot be written.
        """
        import numpy as np

        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
        _write(self.arrays_path(kind, key), buffer.getvalue())

    def load_arrays(self, kind: str, key: str) -> dict[str, np.ndarray] | None:
        """What :meth:`write_arrays` kept; None if it is absent or damaged."""
        import numpy as np

        try:
            with np.load(self.arrays_path(kind, key), allow_pickle=False) as file:
                return dict(file)
        except _DAMAGE:
            return None

    def write_scores(self) -> Path:
        """Write ``scores.csv``, one line per score with the columns :data:`SCORE_COLUMNS`; returns its path."""
        path = self.root / "scores.csv"
        write_text(path, csv_parts(self.index))
        return path


def as_stored(attribution: np.ndarray) -> np.ndarray:
    """The map as it will be read back: (H, W) float32.

    Scoring this instead of the original makes a score the same whether it is computed at once or from the stored map.
    Maps are kept as float16 of a / max|a| with the scale beside it, since float16 alone would lose a gradient of 1e-9.
    The error is below 2⁻¹¹ |a|, and below 2⁻²⁵ max|a| where |a| is less than 2⁻¹⁴ of the maximum.

    Example:
        >>> import numpy as np
        >>> as_stored(np.array([[1e-9, -4e-9]])).tolist() == np.array([[1e-9, -4e-9]], np.float32).tolist()
        True
    """
    scaled, scale = _scale(attribution)
    return _unscale(scaled, scale)


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a UTF-8 text file, given whole or in parts, whole or not at all.

    Raises:
        UserError: if the folder cannot be written.
    """
    _write(path, text.encode() if isinstance(text, str) else (part.encode() for part in text))


def _write(path: Path, content: bytes | Iterable[bytes]) -> None:
    # The name is unique among processes and machines that share the folder, and its leading dot hides it from scan().
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                with temporary.open("wb") as file:
                    file.writelines(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}.", "Free the space or give another --out."
        ) from error


def _parse(path: Path) -> Record:
    record = Record.from_json(json.loads(path.read_bytes()))
    if record.map_key != path.stem:
        raise ValueError(f"it holds the record of another key, {record.map_key}")
    return record


def _scale(attribution: np.ndarray) -> tuple[np.ndarray, float]:
    import numpy as np

    a = np.asarray(attribution, np.float32).astype(np.float64)
    if a.ndim != 2:
        raise ValueError(f"a map has two dimensions, not the shape {a.shape}")
    if not np.isfinite(a).all():
        raise ValueError("a map that is not finite everywhere cannot be kept")
    scale = float(np.abs(a).max(initial=0.0))
    return (a / (scale or 1.0)).astype(np.float16), scale


def _unscale(scaled: np.ndarray, scale: float) -> np.ndarray:
    import numpy as np

    return (scaled.astype(np.float64) * scale).astype(np.float32)


def _pack(attribution: np.ndarray) -> bytes:
    import numpy as np

    scaled, scale = _scale(attribution)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, map=scaled, scale=np.float64(scale))
    return buffer.getvalue()


def _unpack(content: bytes) -> np.ndarray:
    import numpy as np

    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return _unscale(file["map"], float(file["scale"]))
