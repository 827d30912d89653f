"""Whether runs can be taken together: pictures, weights and metrics of one name must be the same in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xaibench.errors import UserError
from xaibench.leaderboard.batch import read_batches
from xaibench.record import Store
from xaibench.record.entry import ABOUT

_FIELDS = [ABOUT.index(name) for name in ("dataset", "case", "case_digest", "model", "weights_digest")]
_HINTS = {
    "image": "Compute both from the same copy of the data.",
    "network": "Compute both with the same weights, or call one of the networks otherwise.",
    "metric": "Compute both with the same version: `xaibench run` gives missing scores to a run that is there.",
}


def require_comparable(stores: Sequence[Store], names: Sequence[Path]) -> None:
    """Refuses runs of which one table would compare what is not the same.

    Args:
        stores: the runs.
        names: what the user calls them.

    Raises:
        UserError: if an image, a network or a metric of one name is another one in two of the runs.
    """
    known: dict[tuple[str, str], tuple[str, Path]] = {}
    for store, name in zip(stores, names, strict=True):
        found: dict[tuple[str, str], str] = {}
        for fact, value in _facts(store):
            found.setdefault(fact, value)  # two in one run are what its own leaderboard tells apart
        for (kind, what), value in sorted(found.items()):
            before, where = known.setdefault((kind, what), (value, name))
            if before != value:
                raise UserError(
                    f"{name} cannot be compared with {where}: the {kind} {what} is another one "
                    f"({value}, not {before}).",
                    _HINTS[kind],
                )


def _facts(store: Store) -> Iterator[tuple[tuple[str, str], str]]:
    for batch in read_batches([store]):
        for place in range(len(batch)):
            fields = batch.about(place)
            dataset, case, case_digest, model, weights_digest = (fields[i] for i in _FIELDS)
            yield ("image", f"{case} of {dataset}"), case_digest
            yield ("network", model), weights_digest
    for metric, version in store.read_run().metric_versions.items():
        yield ("metric", metric), version
