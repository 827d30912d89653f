"""The pages that stand beside the tables: how well each network segments, and whether rankings agree.

``python results/pages.py`` reads the published folders and, for ``segmentation.md``, evaluates the networks.
"""

from __future__ import annotations

import csv
import io
import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import excerpts
import numpy as np
from make import FINE
from PIL import Image
from scipy.stats import kendalltau
from torch import Tensor

import xaibench as xb
from xaibench import plot
from xaibench.data.case import Case
from xaibench.model.evaluate import FIGURES, Evaluation, evaluate, predict

HERE = Path(__file__).parent
NETWORKS = {
    "drive": ("unet-drive", "attention-drive", "segresnet-drive"),
    "chase": ("unet-chase", "attention-chase", "segresnet-chase"),
}
TITLES = {"drive": "On DRIVE's test images", "chase": "On CHASE_DB1, children 06 to 10"}
SHOWN = ("gradcam", f"gradcam{FINE}", "saliency", "integrated-gradients", "kernel-shap", "lime")
OBSERVER = "*second observer*"
FILLS = ("srg", "srg[fill=blur]", "srg[fill=mean]")


def board(name: str, target: str = "vessels") -> dict[str, dict[str, float]]:
    """Of a published table, by method that is no control, its columns."""
    words = [sys.executable, "-m", "xaibench", "leaderboard", str(HERE / name), "--target", target, "--format", "csv"]
    said = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = list(csv.DictReader(io.StringIO(said)))
    methods = [row for row in rows if row["control"] == "False"]
    return {row["method"]: {k: float(v) for k, v in row.items() if _is_number(v)} for row in methods}


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
    head = f"| network | {' | '.join(FIGURES)} | f1 per image |\n| --- |{' --: |' * (len(FIGURES) + 1)}\n"
    text = (HERE / "segmentation.head.md").read_text()
    for data, title in TITLES.items():
        cases = list(xb.load_cases(data, split="test"))
        predictors = {n: partial(predict, xb.load_model(n)) for n in itertools.chain(*NETWORKS.values())}
        predictors[OBSERVER] = _second(cases)
        rows = [_row(name, evaluate(predictor, cases)) for name, predictor in predictors.items()]
        text += f"\n## {title} ({len(cases)} images)\n\n{head}" + "".join(rows)
    (HERE / "segmentation.md").write_text(text)


def _second(cases: Sequence[Case]) -> Callable[[Tensor], Tensor]:
    """The second observer as a network that is asked for one case after the other."""
    masks = iter([case.observer2 for case in cases])
    return lambda _image: next(masks).float()


def _row(name: str, found: Evaluation) -> str:
    per_image = [image["f1"] for image in found.per_image.values()]
    # A drawing of yes and no has one point on each curve, so no area that compares with a network's.
    cells = ["–" if name == OBSERVER and f in ("auc", "ap") else f"{found.pooled[f]:.4f}" for f in FIGURES]
    return f"| {name} | {' | '.join(cells)} | {np.mean(per_image):.3f} ± {np.std(per_image, ddof=1):.3f} |\n"


def write_pictures() -> None:
    """``pictures/``: figures of numbers, and one photograph, of CHASE_DB1 (Fraz 2012, CC BY 4.0); none of DRIVE."""
    folder = HERE / "pictures"
    folder.mkdir(exist_ok=True)
    drive = plot.read(HERE / "drive")
    for draw in (plot.thin_against_thick, plot.critical_difference, plot.cost_against_faithfulness):
        plot.save(draw(drive), folder / f"{draw.__name__.replace('_', '-')}.svg")
    case = xb.load_cases("chase", split="test")[0]
    with TemporaryDirectory() as place:
        photograph, shown = Path(place) / f"Image_{case.id}.png", Path(place) / "shown.png"
        pixels = (case.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(photograph)
        words = ["explain", str(photograph), "--model", "unet-chase", "--method", ",".join(SHOWN), "--out", str(shown)]
        subprocess.run([sys.executable, "-m", "xaibench", *words], check=True)
        with Image.open(shown) as picture:
            size = 1600, 1600 * picture.height // picture.width
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(folder / "chase.jpg", quality=85)


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
    write_pictures()
    excerpts.write()


if __name__ == "__main__":
    write()
