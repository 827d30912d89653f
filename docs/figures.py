"""Draws the README's picture: ``python docs/figures.py``."""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

import xaibench as xb

METHODS = ("gradcam", "gradcam[layer=decoder-1/4]", "gradcam[layer=decoder-1/2]")


def main() -> None:
    """A phantom, the predicted vessels, and Grad-CAM at three layers."""
    case = xb.load_cases("phantom", count=1)[0]
    model = xb.load_model("unet-phantom")
    scorer = xb.Scorer(model, xb.target("vessels", model, case))
    picture, fov = case.image.permute(1, 2, 0).numpy(), case.fov.numpy()
    figure, axes = plt.subplots(1, 5, figsize=(15, 3.5), constrained_layout=True)
    axes[0].imshow(picture)
    axes[0].set_title("phantom")
    found = xb.explain(scorer, case.image, method="prediction").numpy()
    axes[1].imshow(np.where(fov, found, 0), cmap="gray", vmin=0, vmax=1)
    axes[1].set_title("the network's vessels")
    grey = picture.mean(2)
    for ax, method in zip(axes[2:], METHODS, strict=True):
        map_ = np.where(fov, xb.explain(scorer, case.image, method=method).numpy(), np.nan)
        ax.imshow(grey, cmap="gray")
        ax.imshow(map_, cmap="inferno", alpha=0.75, vmin=0, vmax=np.nanquantile(map_, 0.995))
        ax.set_title(method.replace("gradcam", "Grad-CAM").replace("[layer=", ", ").rstrip("]"))
    axes[2].set_title("Grad-CAM, bottleneck")
    for ax in axes:
        ax.set_axis_off()
    out = Path(__file__).with_name("gradcam-phantom.png")
    figure.savefig(out, dpi=80)
    print(out)


if __name__ == "__main__":
    main()
