"""The pages that stand beside the tables, written anew: ``python results/pages.py``.

It reads the published folders and, for ``segmentation.md`` and the photograph, asks the networks.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import agreement
import excerpts
import networks
import numpy as np
import questions
from PIL import Image
from tables import FINE
from torch import Tensor

import xaibench as xb
from xaibench import plot
from xaibench.data.case import Case
from xaibench.models.evaluate import FIGURES, Evaluation, evaluate, predict

HERE = Path(__file__).parent
NETWORKS = {
    "drive": ("unet-drive", "attention-drive", "segresnet-drive"),
    "chase": ("unet-chase", "attention-chase", "segresnet-chase"),
}
TITLES = {"drive": "On DRIVE's test images", "chase": "On CHASE_DB1, children 06 to 10"}
SHOWN = ("gradcam", f"gradcam{FINE}", "saliency", "integrated-gradients", "kernel-shap", "lime")
OBSERVER = "*second observer*"
READ = {"agreement.md": agreement.page, "networks.md": networks.page, "questions.md": questions.page}


def write_segmentation() -> None:
    """``segmentation.md``: each network on each dataset."""
    head = f"| network | {' | '.join(FIGURES)} | f1 per image |\n| --- |{' --: |' * (len(FIGURES) + 1)}\n"
    text = (HERE / "segmentation.head.md").read_text()
    for data, title in TITLES.items():
        cases = list(xb.load_cases(data, split="test"))
        predictors: dict[str, Callable[[Tensor], Tensor]] = {
            n: partial(predict, xb.load_model(n)) for n in itertools.chain(*NETWORKS.values())
        }
        predictors[OBSERVER] = _second(cases)
        rows = [_row(name, evaluate(predictor, cases)) for name, predictor in predictors.items()]
        text += f"\n## {title} ({len(cases)} images)\n\n{head}" + "".join(rows)
    (HERE / "segmentation.md").write_text(text)


def _second(cases: Sequence[Case]) -> Callable[[Tensor], Tensor]:
    """The second observer as a network that is asked for one case after the other."""
    masks = iter([case.observer2 for case in cases if case.observer2 is not None])
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


def write_read() -> None:
    """What is read off the tables alone."""
    for name, page in READ.items():
        (HERE / name).write_text(page())


def write() -> None:
    """All pages."""
    write_read()
    write_segmentation()
    write_pictures()
    excerpts.write()


if __name__ == "__main__":
    write()
