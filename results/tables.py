"""What every published table covers, and the commands that make it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

RUNS = Path("runs")
THREADS = 1  # of each worker: another number rounds otherwise, and this one every machine has
FINE = "[layer=decoder-1/2]"
# The most telling ones: of every family, at two layers where the layer decides.
TELLING = (
    *("gradcam", f"gradcam{FINE}", f"hirescam{FINE}", f"layercam{FINE}", "saliency", "smoothgrad"),
    *("integrated-gradients", "guided-backprop", "deeplift", "lrp", "kernel-shap", "lime", "occlusion"),
)
# Most of those of 50 passes and fewer: each map is made sixteen times more, with noise and of randomised networks.
QUICK = (
    *("gradcam", "gradcam[layer=decoder-1/4]", f"gradcam{FINE}", "hirescam", f"hirescam{FINE}", "layercam"),
    *(f"layercam{FINE}", "gradcam++", "xgradcam", "eigencam"),
    *("seg-xrescam", "saliency", "smoothgrad", "input-x-gradient", "integrated-gradients", "guided-backprop"),
    *("deconvolution", "guided-gradcam", "deeplift", "lrp"),
)
# Every method, and those of the class activation maps that the layer decides at finer ones, too.
MORE_LAYERS = ("gradcam[layer=decoder-1/4]", f"gradcam{FINE}", f"hirescam{FINE}", f"layercam{FINE}")
SHORT = (
    *("srg", "deletion", "insertion", "auroc-vessels", "auroc-thin", "auroc-thick", "lift-vessels", "lift-thin"),
    *("lift-thick", "thin-gap", "thin-gap-matched", "caliber-response", "contrast-response", "fp-lift", "context"),
    *("sparseness", "completeness"),
)
# On CHASE_DB1 much of a vessel's edge stays when what was drawn is removed, and inpainting draws from it.
BLURRED = "srg[fill=blur,steps=10]"
TARGETS = ("vessels", "thin", "thick", "false-positives")
CONTROLS = ("prediction", "prediction-of-target")  # what a map is held against
SANITY = ("mprt", "max-sensitivity")
TESTED = 12  # images: the fewest on which Wilcoxon with Holm can tell 13 methods apart


@dataclass(frozen=True)
class Part:
    """One command that adds to a run.

    Attributes:
        target: what is explained.
        methods: every one where there is none.
        metrics: those of the suite where there is none.
        suite: whose metrics.
        cases: the first so many; those of the suite if None, which are all of the standard one.
    """

    target: str
    methods: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    suite: str = "standard"
    cases: int | None = None


@dataclass(frozen=True)
class Table:
    """A run, and the folder of ``results/`` that it is published in.

    Attributes:
        data, model: what it is of.
        parts: the commands that make it.
        wide: all of its columns are of interest, there being few, and the claims are not.
    """

    data: str
    model: str
    parts: tuple[Part, ...] = field(default=())
    wide: bool = False


def _short(target: str, cases: int, *more: str) -> Part:
    return Part(target, TELLING, (*SHORT, *more), cases=cases)


TABLES = {
    "drive": Table("drive", "unet-drive", (Part("vessels"), *(_short(t, 20) for t in TARGETS[1:]))),
    "drive-attention": Table("drive", "attention-drive", (_short("vessels", TESTED),)),
    "drive-segresnet": Table("drive", "segresnet-drive", (_short("vessels", TESTED),)),
    "chase": Table("chase", "unet-chase", (_short("vessels", 10, BLURRED),)),
    "chase-attention": Table("chase", "attention-chase", (_short("vessels", 10, BLURRED),)),
    "chase-segresnet": Table("chase", "segresnet-chase", (_short("vessels", 10, BLURRED),)),
    "drive-sanity": Table("drive", "unet-drive", (Part("vessels", QUICK, SANITY, cases=10),), wide=True),
    "phantom-truth": Table("phantom[size=192]", "unet-phantom", (Part("vessels", suite="truth", cases=5),), wide=True),
}


def every_method() -> tuple[str, ...]:
    """All explainers, and some at finer layers."""
    listed = json.loads(said("list", "explainers", "--json"))
    return *(e["name"] for e in listed if not e["control"]), *MORE_LAYERS


def command(name: str, part: Part) -> list[str]:
    """What a reader types to make a part of a table."""
    table = TABLES[name]
    words = ["run", "--data", table.data, "--model", table.model, "--target", part.target]
    words += [f"--metric={m}" for m in part.metrics] or ["--suite", part.suite]
    words += [f"--method={m}" for m in part.methods or every_method()]
    words += ["--cases", str(part.cases)] if part.cases else []
    return [*words, "--threads", str(THREADS), "--out", str(RUNS / name)]


def said(*words: str) -> str:
    """What ``xaibench`` prints."""
    return subprocess.run(
        [sys.executable, "-m", "xaibench", *words], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
