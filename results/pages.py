"""Write the pages beside the published tables: ``python results/pages.py``.

Most pages need the published folders alone. ``segmentation.md`` and the photograph also need the images and networks.
"""

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
TABLE_PAGES = {"agreement.md": agreement.page, "networks.md": networks.page, "questions.md": questions.page}


def write_segmentation() -> None:
    """Write ``segmentation.md``: each network on each dataset."""
    head = f"| network | {' | '.join(FIGURES)} | f1 per image |\n| --- |{' --: |' * (len(FIGURES) + 1)}\n"
    text = (HERE / "segmentation.head.md").read_text()
    for data, title in TITLES.items():
        cases = list(xb.load_cases(data, split="test"))
        predictors: dict[str, Callable[[Tensor], Tensor]] = {
            n: partial(predict, xb.load_model(n)) for n in itertools.chain(*NETWORKS.values())
        }
        predictors[OBSERVER] = second_observer(cases)
        rows = [segmentation_row(name, evaluate(predictor, cases)) for name, predictor in predictors.items()]
        text += f"\n## {title} ({len(cases)} images)\n\n{head}" + "".join(rows)
    (HERE / "segmentation.md").write_text(text)


def second_observer(cases: Sequence[Case]) -> Callable[[Tensor], Tensor]:
    """The second observer as a predictor; it must be called once per case, in order."""
    masks = iter([case.observer2 for case in cases if case.observer2 is not None])
    return lambda _image: next(masks).float()


def segmentation_row(name: str, evaluation: Evaluation) -> str:
    """One line of ``segmentation.md``."""
    per_image = [image["f1"] for image in evaluation.per_image.values()]
    # A binary drawing has one point on the ROC and precision-recall curves: no area to compare with a network's.
    cells = ["–" if name == OBSERVER and f in ("auc", "ap") else f"{evaluation.pooled[f]:.4f}" for f in FIGURES]
    return f"| {name} | {' | '.join(cells)} | {np.mean(per_image):.3f} ± {np.std(per_image, ddof=1):.3f} |\n"


def write_pictures() -> None:
    """Write ``pictures/``: plots of numbers, and one image of CHASE_DB1 (Fraz 2012, CC BY 4.0). Never one of DRIVE."""
    pictures = HERE / "pictures"
    pictures.mkdir(exist_ok=True)
    drive = plot.read(HERE / "drive")
    for draw in (plot.thin_against_thick, plot.critical_difference, plot.cost_against_faithfulness):
        plot.save(draw(drive), pictures / f"{draw.__name__.replace('_', '-')}.svg")
    case = xb.load_cases("chase", split="test")[0]
    with TemporaryDirectory() as folder:
        photograph, figure = Path(folder) / f"Image_{case.id}.png", Path(folder) / "figure.png"
        pixels = (case.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        Image.fromarray(pixels).save(photograph)
        words = ["explain", str(photograph), "--model", "unet-chase", "--method", ",".join(SHOWN), "--out", str(figure)]
        subprocess.run([sys.executable, "-m", "xaibench", *words], check=True)
        with Image.open(figure) as picture:
            size = 1600, 1600 * picture.height // picture.width
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(pictures / "chase.jpg", quality=85)


def write_table_pages() -> None:
    """Write the pages that need the published tables alone."""
    for name, page in TABLE_PAGES.items():
        (HERE / name).write_text(page())


def write() -> None:
    """Write all pages and refresh the excerpts."""
    write_table_pages()
    write_segmentation()
    write_pictures()
    excerpts.write()


if __name__ == "__main__":
    write()
