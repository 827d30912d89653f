"""Declarations of the published tables, and the commands that make them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

RUNS = Path("runs")
THREADS = 1  # per worker; another number gives other last digits
FINE = "[layer=decoder-1/2]"
# One or more of every family; class activation maps at two layers.
SELECTED = (
    *("gradcam", f"gradcam{FINE}", f"hirescam{FINE}", f"layercam{FINE}", "saliency", "smoothgrad"),
    *("integrated-gradients", "guided-backprop", "deeplift", "lrp", "kernel-shap", "lime", "occlusion"),
)
# Most of the methods of 50 passes or fewer: the sanity checks compute each map sixteen times more.
QUICK = (
    *("gradcam", "gradcam[layer=decoder-1/4]", f"gradcam{FINE}", "hirescam", f"hirescam{FINE}", "layercam"),
    *(f"layercam{FINE}", "gradcam++", "xgradcam", "eigencam"),
    *("seg-xrescam", "saliency", "smoothgrad", "input-x-gradient", "integrated-gradients", "guided-backprop"),
    *("deconvolution", "guided-gradcam", "deeplift", "lrp"),
)
# Beside every method at its default layer: class activation maps at finer layers.
FINER_LAYERS = ("gradcam[layer=decoder-1/4]", f"gradcam{FINE}", f"hirescam{FINE}", f"layercam{FINE}")
METRICS = (
    *("srg", "deletion", "insertion", "auroc-vessels", "auroc-thin", "auroc-thick", "lift-vessels", "lift-thin"),
    *("lift-thick", "thin-gap", "thin-gap-matched", "caliber-response", "contrast-response", "fp-lift", "context"),
    *("sparseness", "completeness"),
)
# On CHASE_DB1 a dark rim stays when the drawn vessels are removed, and inpainting continues it inwards.
BLURRED = "srg[fill=blur,steps=10]"
TARGETS = ("vessels", "thin", "thick", "false-positives")
CONTROLS = ("prediction", "prediction-of-target")  # shown beside the best method
SANITY = ("mprt", "max-sensitivity")
ENOUGH_IMAGES = 12  # the fewest with which Wilcoxon with Holm can distinguish 13 methods


@dataclass(frozen=True)
class Part:
    """One command that adds to a run.

    Attributes:
        target: the explained target.
        methods: names of the methods; empty for all.
        metrics: names of the metrics; empty for those of the suite.
        suite: the suite that gives the metrics where none are named.
        cases: number of images, from the first; None for those of the suite (all images in the standard suite).
    """

    target: str
    methods: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    suite: str = "standard"
    cases: int | None = None


@dataclass(frozen=True)
class Table:
    """A run and its published folder in ``results/``.

    Attributes:
        data: name of the dataset.
        model: name of the network.
        parts: the commands that make the run.
        wide: ``leaderboard.md`` has all columns, and there is no ``claims.md``.
    """

    data: str
    model: str
    parts: tuple[Part, ...]
    wide: bool = False


def _short(target: str, cases: int, *more_metrics: str) -> Part:
    return Part(target, SELECTED, (*METRICS, *more_metrics), cases=cases)


TABLES = {
    "drive": Table("drive", "unet-drive", (Part("vessels"), *(_short(t, 20) for t in TARGETS[1:]))),
    "drive-attention": Table("drive", "attention-drive", (_short("vessels", ENOUGH_IMAGES),)),
    "drive-segresnet": Table("drive", "segresnet-drive", (_short("vessels", ENOUGH_IMAGES),)),
    "chase": Table("chase", "unet-chase", (_short("vessels", 10, BLURRED),)),
    "chase-attention": Table("chase", "attention-chase", (_short("vessels", 10, BLURRED),)),
    "chase-segresnet": Table("chase", "segresnet-chase", (_short("vessels", 10, BLURRED),)),
    "drive-sanity": Table("drive", "unet-drive", (Part("vessels", QUICK, SANITY, cases=10),), wide=True),
    "phantom-truth": Table("phantom[size=192]", "unet-phantom", (Part("vessels", suite="truth", cases=5),), wide=True),
}


def every_method() -> tuple[str, ...]:
    """All explainers, and class activation maps at finer layers."""
    explainers = json.loads(run_cli("list", "explainers", "--json"))
    return *(e["name"] for e in explainers if not e["control"]), *FINER_LAYERS


def command(name: str, part: Part) -> list[str]:
    """The arguments of ``xaibench`` that make a part of a table."""
    table = TABLES[name]
    words = ["run", "--data", table.data, "--model", table.model, "--target", part.target]
    words += [f"--metric={m}" for m in part.metrics] or ["--suite", part.suite]
    words += [f"--method={m}" for m in part.methods or every_method()]
    words += ["--cases", str(part.cases)] if part.cases else []
    return [*words, "--threads", str(THREADS), "--out", str(RUNS / name)]


def run_cli(*words: str) -> str:
    """The standard output of ``xaibench`` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "xaibench", *words], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
