"""Whether runs can be taken together: images, weights and metrics of one name must be the same in all of them."""

from collections.abc import Sequence
from pathlib import Path

from xaibench.errors import UserError
from xaibench.record import Store
from xaibench.record.keys import agree

_HINTS = {
    "image": "Compute both from the same copy of the data.",
    "network": "Compute both with the same weights, or call one of the networks otherwise.",
    "metric": "Compute both with the same version: `xaibench run` gives missing scores to a run that is there.",
}


def open_comparable(runs: Sequence[str]) -> list[Store]:
    """Open the runs that one table shows.

    Args:
        runs: their folders.

    Raises:
        UserError: if one of them is no run, or they cannot be compared.
    """
    stores = [Store.open(run) for run in runs]
    if len(stores) > 1:
        require_comparable(stores, [Path(run) for run in runs])
    return stores


def require_comparable(stores: Sequence[Store], names: Sequence[Path]) -> None:
    """Refuses runs that one table would compare although their images, networks or metrics differ.

    Args:
        stores: the runs.
        names: what the user calls them.

    Raises:
        UserError: if an image, a network or a metric of one name is another one in two of the runs.
    """
    known: dict[tuple[str, str], tuple[str, Path]] = {}
    networks: dict[str, list[float]] = {}
    for store, run in zip(stores, names, strict=True):
        found: dict[tuple[str, str], str] = {}
        for r in store.stream():  # several of one name in one run are apart in its leaderboards
            found.setdefault(("image", f"{r.case} of {r.dataset}"), r.case_digest)
            found.setdefault(("network", r.model), r.weights_digest)
        manifest = store.read_run()
        for digest, logits in manifest.behaviour.items():
            if not agree(networks.setdefault(digest, logits), logits):
                raise UserError(
                    f"{run} cannot be compared with the other runs: its network {manifest.model} has their weights, "
                    "but gives other logits.",
                    _HINTS["network"],
                )
        found |= {("metric", name): version for name, version in manifest.metric_versions.items()}
        for (kind, what), value in sorted(found.items()):
            before, where = known.setdefault((kind, what), (value, run))
            if before != value:
                raise UserError(
                    f"{run} cannot be compared with {where}: the {kind} {what} is another one ({value}, not {before}).",
                    _HINTS[kind],
                )
