"""A run on disk: records, maps, manifest, keys. The computing side writes it, the reading side reads it."""

from xaibench.record.maps import as_stored
from xaibench.record.schema import SCHEMA_VERSION, Record, ScoreEntry
from xaibench.record.score_table import SCORE_COLUMNS, tidy
from xaibench.record.store import Store, write_text

__all__ = [
    "SCHEMA_VERSION",
    "SCORE_COLUMNS",
    "Record",
    "ScoreEntry",
    "Store",
    "as_stored",
    "tidy",
    "write_text",
]
