"""The provenance section: digests, versions, machine, commands, and the terms of the images."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from xaibench.leaderboard.run_results import Result
from xaibench.record.manifest import Manifest
from xaibench.registry import dataset_traits


def provenance(run: Manifest, results: Sequence[Result], root: Path, command: str) -> dict[str, object]:
    """The origin of the page's numbers for the template.

    Args:
        run: the run's manifest.
        results: the leaderboards with their records.
        root: the run's folder.
        command: the command that made the report.

    Returns:
        ``terms``: sentences; ``facts``: pairs of a name and lines of text.
    """
    datasets = sorted({r.board.dataset for r in results})
    records = [record for result in results for record in result.records]
    machine, versions = ([f"{k} {v}" for k, v in pairs.items()] for pairs in (run.machine, run.versions))
    recorded = {run.dataset: run.terms}
    terms = [recorded.get(name) or dataset_traits(name).terms for name in datasets]
    facts = {
        "last command of the run": [run.command or "not known"],
        "command of this report": [command],
        "folder": [f"{root.resolve().name} (holds maps, records and scores.csv, with every number of this page)"],
        "data": [run.note or ", ".join(datasets)],
        "images, with the digest of their content": _pairs((r.case, r.case_digest) for r in records),
        "network, with the digest of its weights": _pairs((r.board.model, r.board.weights_digest) for r in results),
        "methods come from": [" ".join(pair) for pair in sorted({(r.distribution, r.version) for r in records})],
        "seeds": [", ".join(map(str, sorted({r.seed for r in records})))],
        "versions": [", ".join(versions) or "not known"],
        "report written by": [f"xaibench {version('xaibench')}"],
        "machine": [", ".join([*machine, f"device {run.device or 'not known'}"])],
    }
    return {"facts": list(facts.items()), "terms": terms}


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}: {digest}" for name, digest in sorted(set(pairs))]
