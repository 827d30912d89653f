"""Draws the figures of ``metrics.md``, from phantoms only: ``python docs/metrics_pictures.py``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch

mpl.use("Agg")
from matplotlib import pyplot as plt

import xaibench as xb
from xaibench.data.anatomy.segments import vessel_segments
from xaibench.data.regions import superpixels
from xaibench.imputation.fills import FILLS, prepare_fill
from xaibench.metrics.faithfulness.pixel_flipping import removal_of, removal_orders, tie_order
from xaibench.metrics.ground_truth.shapley_error import TILES, best_window
from xaibench.metrics.localisation.width_response import relative
from xaibench.metrics.method import Method
from xaibench.metrics.robustness.randomisation import randomised
from xaibench.models.networks.shortcut_network import marker_at, paint_marker, roomiest_place
from xaibench.models.networks.white_box import white_box
from xaibench.registry import parse
from xaibench.report.overlay import contour

FOLDER = Path(__file__).with_name("pictures")
METHOD = "gradcam[layer=decoder-1/2]"
TEAL, ORANGE, GREY = "#00796b", "#ef6c00", "#777777"
plt.rcParams.update({"axes.titlesize": 10, "font.size": 9})


class Scene:
    """One phantom, the network trained on phantoms, and a map."""

    def __init__(self) -> None:
        self.case = xb.load_cases("phantom[size=384]", count=1)[0]
        self.model = xb.load_model("unet-phantom")
        self.scorer = xb.Scorer(self.model, xb.target("vessels", self.model, self.case))
        self.map = self.explained(METHOD)
        self.fov = self.case.fov.numpy()
        self.picture = self.case.image.permute(1, 2, 0).numpy()

    def explained(self, method: str, scorer: xb.Scorer | None = None, image: torch.Tensor | None = None) -> np.ndarray:
        """(H, W) map of a method."""
        shown = self.case.image if image is None else image
        return np.asarray(xb.explain(scorer or self.scorer, shown, method=method, case=self.case).numpy())

    def score(self, metric: str, method: str = METHOD) -> Any:
        """The score of a method's map."""
        how = parse("explainer", method)
        return parse("metric", metric)(
            attribution=self.map if method == METHOD else self.explained(method),
            case=self.case,
            scorer=self.scorer,
            rng=np.random.default_rng(0),
            method=Method(how, lambda s, i, h, c: xb.explain(s, i, method=h, case=c)),
        )


def heat(ax: Any, scene: Scene, map_: np.ndarray, title: str) -> None:
    """A map over the grey image."""
    inside = np.where(scene.fov, np.maximum(map_, 0), np.nan)
    ax.imshow(scene.picture.mean(2), cmap="gray")
    ax.imshow(inside, cmap="inferno", alpha=0.75, vmin=0, vmax=max(float(np.nanquantile(inside, 0.995)), 1e-12))
    plain(ax, title)


def plain(ax: Any, title: str) -> None:
    """Switch the axes off."""
    ax.set_title(title)
    ax.set_axis_off()


def removal(scene: Scene) -> None:
    """Pixel flipping: the image at several shares removed, and the deletion and insertion curves."""
    figure, axes = plt.subplots(1, 5, figsize=(13, 2.9), constrained_layout=True)
    heat(axes[0], scene, scene.map, "the map")
    order = removal_orders(scene.map, scene.fov, tie_order(scene.fov, 0))[0]
    fill = prepare_fill(
        "inpaint", scene.case.image.numpy(), scene.fov, scale=scene.case.scale, rng=np.random.default_rng(0)
    )
    for ax, share in zip(axes[1:4], (0.06, 0.2, 0.5), strict=True):
        gone = np.zeros(scene.fov.shape, bool)
        gone.ravel()[order[: round(share * len(order))]] = True
        ax.imshow(fill(gone).transpose(1, 2, 0))
        plain(ax, f"{share:.0%} most attributed removed")
    curves = removal_of(scene.case, scene.scorer, "inpaint", np.random.default_rng(0)).curves(scene.map)
    axes[4].plot(curves.fractions, curves.least_first, color=TEAL, label="least first")
    axes[4].plot(curves.fractions, curves.most_first, color=ORANGE, label="most first")
    axes[4].fill_between(curves.fractions, curves.most_first, curves.least_first, color=GREY, alpha=0.25, label="srg")
    axes[4].set(xlabel="share removed", ylabel="probability left")
    axes[4].legend(fontsize=8)
    save(figure, "removal")


def fills(scene: Scene) -> None:
    """Half of the field of view removed at random, with each of the four fills."""
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), constrained_layout=True)
    gone = scene.fov & (np.random.default_rng(0).random(scene.fov.shape) < 0.5)
    for ax, name in zip(axes, FILLS, strict=True):
        fill = prepare_fill(
            name, scene.case.image.numpy(), scene.fov, scale=scene.case.scale, rng=np.random.default_rng(0)
        )
        ax.imshow(fill(gone)[:, 100:220, 120:240].transpose(1, 2, 0))
        plain(ax, name)
    save(figure, "fills")


def regions(scene: Scene) -> None:
    """Superpixels of irof, patches of infidelity and faithfulness correlation."""
    figure, axes = plt.subplots(1, 2, figsize=(6.4, 3), constrained_layout=True)
    labels = superpixels(scene.case.image, scene.case.fov, 200)
    edges = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
    axes[0].imshow(np.where(edges[..., None], [1.0, 1.0, 1.0], scene.picture))
    plain(axes[0], "irof removes superpixels")
    picture, rng = scene.picture.copy(), np.random.default_rng(3)
    blurred = scene.scorer.reference("blur", scene.case.image).permute(1, 2, 0).numpy()
    places = np.argwhere(scene.fov)
    for y, x in places[rng.choice(len(places), 12)]:
        picture[y : y + 16, x : x + 16] = blurred[y : y + 16, x : x + 16]
        picture[y : y + 16, [x, min(x + 15, 383)]] = 1
        picture[[y, min(y + 15, 383)], x : x + 16] = 1
    axes[1].imshow(picture)
    plain(axes[1], "infidelity: patches")
    save(figure, "regions")


def overlap(scene: Scene) -> None:
    """Thin and thick vessels over a map, their ROC curves, and their lift."""
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.9), constrained_layout=True)
    heat(axes[0], scene, scene.map, "thick (green) and thin (blue)")
    parts = {"thick": scene.case.thick.numpy(), "thin": scene.case.thin.numpy()}
    for (_, mask), colour in zip(parts.items(), ("#39d353", "#58a6ff"), strict=True):
        axes[0].imshow(np.ma.masked_where(~contour(mask), mask), cmap=mpl.colors.ListedColormap([colour]))
    flat, none = scene.map[scene.fov], ~scene.case.vessels.numpy()[scene.fov]
    for (name, mask), colour in zip(parts.items(), (TEAL, ORANGE), strict=True):
        thresholds = np.quantile(flat, np.linspace(1, 0, 200))
        hit = [(flat[mask[scene.fov]] >= t).mean() for t in thresholds]
        false = [(flat[none] >= t).mean() for t in thresholds]
        axes[1].plot(false, hit, color=colour, label=f"{name}, area {scene.score(f'auroc-{name}').value:.2f}")
    axes[1].plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axes[1].set(xlabel="off vessels", ylabel="on vessels", title="auroc")
    axes[1].legend(fontsize=8)
    names = ("vessels", "thick", "thin")
    for ax, stem, base in ((axes[2], "mass", None), (axes[3], "lift", 1.0)):
        ax.bar(names, [scene.score(f"{stem}-{n}").value for n in names], color=[GREY, TEAL, ORANGE])
        ax.set_title(stem if base is None else f"{stem}; thin-gap is log₂ thick ÷ thin")
        if base is not None:
            ax.axhline(base, color="black", linestyle=":")
    save(figure, "overlap")


def response(scene: Scene) -> None:
    """Attribution density over width and over contrast."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 2.9), constrained_layout=True)
    for ax, metric, label in (
        (axes[0], "caliber-response", "width, px"),
        (axes[1], "contrast-response", "Weber contrast of the vessel"),
    ):
        score = scene.score(metric)
        ax.plot(*score.curve, color=TEAL, marker="o", markersize=3)
        ax.set(xlabel=label, ylabel="density (1 is chance)", title=f"{metric} {score.value:.2f}")
    found, dense = vessel_segments(scene.case), relative(scene.map, scene.fov)
    means = np.array([dense[found.labels == i].mean() for i in range(len(found.caliber))])
    thin = found.caliber <= 1.5 * scene.case.scale
    for which, colour, name in ((thin, ORANGE, "thin"), (~thin, TEAL, "thick")):
        axes[2].scatter(found.contrast[which], means[which], s=8, color=colour, label=name)
    axes[2].set(xlabel="contrast", ylabel="density", title="thin-gap-matched: at equal contrast")
    axes[2].legend(fontsize=8)
    save(figure, "response")


def context(scene: Scene) -> None:
    """The radius around the target that holds half of the attribution."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), constrained_layout=True)
    for ax, method in zip(axes, (METHOD, "gradcam"), strict=True):
        heat(ax, scene, scene.explained(method), f"{method}: context {scene.score('context', method).value:.1f} px")
    save(figure, "context")


def robustness(scene: Scene) -> None:
    """Maps of the image, of a slightly changed image, of randomised networks, and for thin and for thick vessels."""
    figure, axes = plt.subplots(1, 5, figsize=(13.5, 2.9), constrained_layout=True)
    method = "integrated-gradients[steps=16]"
    rng = torch.Generator().manual_seed(0)
    changed = (scene.case.image + 0.04 * (torch.rand(scene.case.image.shape, generator=rng) - 0.5)).clamp(0, 1)
    heat(axes[0], scene, scene.explained(method), "integrated gradients")
    heat(axes[1], scene, scene.explained(method, image=changed), "max-sensitivity: picture ± .02")
    network = randomised(scene.model, scene.case.image, 6, 0)[-1]
    other = xb.Scorer(network, scene.scorer.target)
    heat(axes[2], scene, scene.explained(method, other), "mprt: random weights")
    for ax, part in zip(axes[3:], ("thin", "thick"), strict=True):
        asked = xb.Scorer(scene.model, xb.target(part, scene.model, scene.case))
        heat(ax, scene, scene.explained(method, asked), f"target-sensitivity: {part}")
    save(figure, "robustness")


def complexity(scene: Scene) -> None:
    """Sorted attributions of a sparse and of an even map."""
    figure, ax = plt.subplots(figsize=(5.2, 3), constrained_layout=True)
    for method, colour in (("saliency", ORANGE), ("gradcam", TEAL)):
        values = np.sort(np.abs(scene.explained(method))[scene.fov])
        shares = np.cumsum(values) / values.sum()
        gini = scene.score("sparseness", method).value
        ax.plot(np.linspace(0, 1, shares.size), shares, color=colour, label=f"{method}: sparseness {gini:.2f}")
    ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="even: 0")
    ax.set(xlabel="share of pixels, least first", ylabel="share of the attribution")
    ax.legend(fontsize=8)
    save(figure, "complexity")


def axioms(scene: Scene) -> None:
    """The sum of a map beside the sum that its method promises."""
    figure, ax = plt.subplots(figsize=(5.2, 2.4), constrained_layout=True)
    reference = scene.scorer.reference("blur", scene.case.image)
    with torch.no_grad():
        promised = float(scene.scorer(scene.case.image[None]) - scene.scorer(reference[None]))
    sums = {n: float(scene.explained(n).sum()) for n in ("integrated-gradients[steps=4]", "integrated-gradients")}
    ax.barh([*sums, "score less the baseline's"], [*sums.values(), promised], color=[ORANGE, TEAL, GREY])
    ax.set_title("completeness: does the sum keep its promise?")
    save(figure, "axioms")


def false_positives(scene: Scene) -> None:
    """False positives of the network, and the map."""
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), constrained_layout=True)
    found = xb.target("false-positives", scene.model, scene.case).mask.numpy()
    axes[0].imshow(np.where(found[..., None], [1.0, 0.3, 0.0], scene.picture))
    plain(axes[0], "false positives of the network")
    heat(axes[1], scene, scene.map, "fp-lift: the map on them")
    save(figure, "false_positives")


def truth(scene: Scene) -> None:
    """Networks with known attribution: a white box, twelve regions, a marker."""
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 2.9), constrained_layout=True)
    box, shown = white_box("linear", scene.case)
    scorer = xb.Scorer(box, xb.target("vessels", box, shown))
    heat(axes[0], scene, np.abs(scene.explained("saliency", scorer, shown.image)), "planted: a white box's truth")
    window = best_window(scene.case.vessels.numpy(), scene.fov, 128)
    axes[1].imshow(scene.picture[window])
    for lines, count, size in ((axes[1].axhline, TILES[0], 128), (axes[1].axvline, TILES[1], 128)):
        for k in range(1, count):
            lines(k * size / count - 0.5, color="white", linewidth=1)
    plain(axes[1], "shapley-error: all 2¹² coalitions")
    place = roomiest_place(scene.case.vessels.numpy(), scene.fov)
    marked = paint_marker(scene.case.image, marker_at(place, scene.fov.shape))
    y, x = place
    cut = np.s_[max(y - 40, 0) : y + 40, max(x - 40, 0) : x + 40]
    axes[2].imshow(marked.permute(1, 2, 0).numpy()[cut])
    plain(axes[2], "shortcut: the marker")
    names = ("integrated-gradients", "gradcam", "random")
    axes[3].barh(names, [scene.score("planted-pixels", n).value for n in names], color=[TEAL, ORANGE, GREY])
    axes[3].axvline(0.5, color="black", linestyle=":")
    axes[3].set_title("planted-pixels: ½ is chance")
    save(figure, "truth")


PICTURES: dict[str, Callable[[Scene], None]] = {
    function.__name__: function
    for function in (
        *(removal, fills, regions, overlap, response, context, false_positives, robustness, complexity, axioms),
        truth,
    )
}


def save(figure: Any, name: str) -> None:
    """Write a figure as a small PNG."""
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.png", dpi=96)
    plt.close(figure)
    print(FOLDER / f"{name}.png")


def main() -> None:
    """Draw all figures."""
    scene = Scene()
    for draw in PICTURES.values():
        draw(scene)


if __name__ == "__main__":
    main()
