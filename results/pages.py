"""The pages that stand beside the tables: how well each network segments, and whether rankings agree.

``python results/pages.py`` reads the published folders and, for ``segmentation.md``, evaluates the networks.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

HERE = Path(__file__).parent
NETWORKS = {
    "drive": ("unet-drive", "attention-drive", "segresnet-drive"),
    "chase": ("unet-chase", "attention-chase", "segresnet-chase"),
}
FIGURES = (
    "auc",
    "ap",
    "f1",
    "sensitivity",
    "specificity",
    "accuracy",
    "cldice",
    "sensitivity_thin",
    "sensitivity_thick",
)
FILLS = ("srg", "srg[fill=blur]", "srg[fill=mean]")


def board(name: str, target: str = "vessels") -> dict[str, dict[str, float]]:
    """Of a published table, by method that is no control, its columns."""
    words = [sys.executable, "-m", "xaibench", "leaderboard", str(HERE / name), "--target", target, "--format", "csv"]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = list(csv.DictReader(io.StringIO(said)))
    numbers = lambda row: {
        k: float(v) for k, v in row.items() if v and k not in ("method", "family", "control", "group") and _is_number(v)
    }
    return {row["method"]: numbers(row) for row in rows if row["control"] in ("False", "false", "0", "")}


def agreement(rankings: dict[str, dict[str, float]]) -> list[str]:
    """Kendall's τ between all pairs of rankings over the methods that both have, as a Markdown table."""
    names = list(rankings)
    lines = ["| | " + " | ".join(names) + " | best | methods |", "| --- |" + " --: |" * len(names) + " --- | --: |"]
    for a in names:
        cells = []
        for b in names:
            common = sorted(set(rankings[a]) & set(rankings[b]))
            one, other = ([r[m] for m in common] for r in (rankings[a], rankings[b]))
            cells.append("" if a == b else f"{kendalltau(one, other).statistic:.2f}")
        best = max(rankings[a], key=rankings[a].__getitem__)
        lines.append(f"| {a} | " + " | ".join(cells) + f" | {best} | {len(rankings[a])} |")
    return lines


def write_agreement() -> None:
    """``agreement.md``: is the best method best everywhere?"""
    tables = [p.parent.name for p in sorted(HERE.glob("*/leaderboard.csv")) if p.parent.name != "phantom-truth"]
    across = {name: {m: v["srg"] for m, v in board(name).items() if "srg" in v} for name in tables}
    drive = board("drive")
    fills = {f: {m: v[f] for m, v in drive.items() if f in v} for f in FILLS}
    targets = {}
    for target in ("vessels", "thin", "thick", "false-positives"):
        targets[target] = {m: v["srg"] for m, v in board("drive", target).items() if "srg" in v}
    text = [
        "# Is the best method best everywhere?",
        "",
        "Kendall's τ between rankings by mean `srg`, over the methods that two tables have in common: 1 is the same "
        "order, 0 none.",
        "",
        "## Across networks and data (target vessels)",
        "",
        *agreement(across),
        "",
        "## Across fills (DRIVE, U-Net, target vessels)",
        "",
        *agreement(fills),
        "",
        "## Across targets (DRIVE, U-Net)",
        "",
        *agreement(targets),
        "",
    ]
    (HERE / "agreement.md").write_text("\n".join(text))


def write_segmentation() -> None:
    """``segmentation.md``: each network on each dataset."""
    lines = defaultdict(list)
    for data in NETWORKS:
        for network in itertools.chain(*NETWORKS.values()):
            words = [sys.executable, "-m", "xaibench", "evaluate", "--data", data, "--model", network, "--json"]
            found = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)
            per_image = found["per_image"].values()
            spread = float(np.std([image["f1"] for image in per_image], ddof=1))
            cells = " | ".join(f"{found['pooled'][f]:.4f}" for f in FIGURES)
            lines[data].append(f"| {network} | {len(per_image)} | {cells} | {spread:.3f} |")
    head = f"| network | images | {' | '.join(FIGURES)} | sd of f1 |\n| --- | --: |{' --: |' * (len(FIGURES) + 1)}"
    text = (HERE / "segmentation.head.md").read_text()
    for data, rows in lines.items():
        text += f"\n## On {data}\n\n{head}\n" + "\n".join(rows) + "\n"
    (HERE / "segmentation.md").write_text(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write() -> None:
    """All pages."""
    write_agreement()
    write_segmentation()


if __name__ == "__main__":
    write()
