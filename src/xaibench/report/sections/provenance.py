"""Where a report's numbers come from: digests, versions, machine, commands, and what may be done with the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xaibench.leaderboard.run_results import Result
from xaibench.record.manifest import Manifest

# What a dataset's terms say of showing its images to others.
TERMS = {
    "drive": "DRIVE's terms forbid redistribution: this page holds images of it and must not be passed on or published "
    "as it is. Numbers may be.",
    "chase": "CHASE_DB1 is under CC BY 4.0: name it where these images are shown.",
    "stare": "STARE comes without a licence: ask its authors before these images are shown.",
    "hrf": "HRF is under CC BY 4.0: name it where these images are shown.",
    "phantom": "The images are synthetic phantoms and may be shown freely.",
}
_OTHER = "Whether these images may be shown to others is for the terms of their source to say."


def provenance(run: Manifest, results: Sequence[Result], root: Path, command: str) -> dict[str, Any]:
    """What the template needs: ``terms``, and ``facts`` as pairs of a name and lines of text.

    Args:
        run: the run's manifest.
        results: of the run.
        root: its folder.
        command: what was typed to make the report.
    """
    datasets = sorted({r.board.dataset for r in results})
    machine, versions = ([f"{k} {v}" for k, v in pairs.items()] for pairs in (run.machine, run.versions))
    weights = sorted({(r.board.model, r.board.weights_digest) for r in results})
    images = sorted({(record.case, record.case_digest) for r in results for record in r.records})
    methods = sorted({(r.distribution, r.version) for result in results for r in result.records})
    seeds = sorted({r.seed for result in results for r in result.records})
    facts = [
        ("last command of the run", [run.command or "not known"]),
        ("command of this report", [command]),
        ("folder", [f"{root.resolve().name} (maps, records and scores.csv lie there, with every number of this page)"]),
        ("data", [run.note] if run.note else [", ".join(datasets)]),
        ("images, with the digest of their content", [f"{case}: {digest}" for case, digest in images]),
        ("network, with the digest of its weights", [f"{model}: {digest}" for model, digest in weights]),
        ("methods come from", [f"{name} {v}" for name, v in methods]),
        ("seeds", [", ".join(map(str, seeds))]),
        ("versions", [", ".join(versions) or "not known"]),
        ("report written by", [f"xaibench {version('xaibench')}"]),
        (
            "machine",
            [", ".join([*machine, f"device {run.device or 'not known'}"])],
        ),
    ]
    return {"facts": facts, "terms": [TERMS.get(d, _OTHER) for d in datasets]}
