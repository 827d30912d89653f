"""Perturbation of the image: the score under hidden windows, regions, random masks, and a learned mask."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from xaibench.data.regions import spread
from xaibench.errors import UserError
from xaibench.parameter_checks import at_least, open_unit
from xaibench.registry import explainer
from xaibench.scorer import Scorer
from xaibench.scorer.coalition_game import region_game
from xaibench.scorer.local_forward import Box

RATE = 0.05  # learning rate of Adam, in units of the mask
LEVELS = 1000  # quantisation of mask values; values in one level count as equal
AREA_WEIGHT = (3.0, 300.0)  # weight of the area penalty in the first and last step, in units of the score to keep


@explainer("occlusion", family="perturbation", signed=True, paper="zeiler2014")
def occlusion(scorer: Scorer, image: Tensor, *, patch: int = 32, stride: int = 32, baseline: str = "blur") -> Tensor:
    """Fall of the score when a square window is hidden, averaged over the windows that contain a pixel.

    Positive where hiding lowers the score [zeiler2014]. Windows and map agree with captum's ``Occlusion``. But a window
    is scored by a crop around it where the network is local, and windows outside the field of view cost no pass.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        patch: side of the window, px.
        stride: step of the window, px, no larger than the patch.
        baseline: the reference that hides, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits, 0 outside the field of view.

    Raises:
        UserError: for an unknown baseline, a patch larger than the image, or a stride that leaves gaps.
    """
    at_least(1, "patch", patch)
    at_least(1, "stride", stride)
    if patch > min(image.shape[1:]):
        size = " × ".join(map(str, image.shape[:0:-1]))
        raise UserError(f"patch={patch} is larger than the image, {size} px.", "Give a smaller patch.")
    if stride > patch:
        raise UserError(f"stride={stride} is larger than patch={patch} and leaves gaps.", f"Give at most {patch}.")
    fov, (height, width) = scorer.target.fov, image.shape[1:]
    reference, local = scorer.reference(baseline, image).to(scorer.device), scorer.local_forward(image)
    windows = [
        Box(top, left, min(top + patch, height), min(left + patch, width))
        for top, left in product(_steps(height, patch, stride), _steps(width, patch, stride))
    ]
    hiding = [w for w in windows if fov[w.index].any()]  # outside the field of view the reference equals the image
    whole = scorer.shared.base_score(local)
    values = scorer.shared.changed_scores(local, ((w, reference[w.index]) for w in hiding))
    total, count = np.zeros((2, height, width))
    for w in windows:
        count[w.index] += 1
    for w, value in zip(hiding, values, strict=True):
        total[w.index] += whole - value
    return torch.from_numpy(np.where(fov.numpy(), total / count, 0).astype(np.float32))


def _steps(length: int, patch: int, stride: int) -> range:
    """Starts of the windows along an axis; the border of the image may cut the last one."""
    return range(0, -(-(length - patch) // stride) * stride + 1, stride)


@explainer("feature-ablation", family="perturbation", signed=True, paper="robniksikonja2008", library="captum")
def feature_ablation(
    scorer: Scorer, image: Tensor, *, segments: int = 200, regions: str = "slic", baseline: str = "blur"
) -> Tensor:
    """Fall of the score when one superpixel is hidden and all others are present.

    One pass per superpixel and one for the image [robniksikonja2008]. captum receives the coalition game instead of the
    image, so that it does not make a masked copy and a mask of the image for every pass.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        segments: approximate number of superpixels.
        regions: ``"slic"`` or ``"tiles"``, see :func:`~xaibench.data.regions.superpixels`.
        baseline: the reference that hides a region, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits; each region's value is shared evenly by its pixels.

    Raises:
        UserError: for unknown regions or baseline, or no segments.
    """
    from captum.attr import FeatureAblation

    labels, count, value = region_game(scorer, image, segments, regions, baseline)
    method = FeatureAblation(lambda present: torch.from_numpy(value(present.numpy())))
    falls = method.attribute(torch.ones(1, count), 0, perturbations_per_eval=count)
    return spread(falls[0].numpy(), labels, scorer.target.fov)


@explainer("rise", family="perturbation", signed=True, stochastic=True, paper="petsiuk2018")
def rise(
    scorer: Scorer,
    image: Tensor,
    *,
    rng: np.random.Generator,
    samples: int = 300,
    cell: int = 48,
    keep: float = 0.5,
    baseline: str = "blur",
) -> Tensor:
    """Mean rise of the score when a random smooth mask keeps a pixel (RISE).

    The masks are grids of 0 and 1, shifted at random and upsampled linearly [petsiuk2018]. At each pixel the map is the
    mean of score - mean score, weighted by the masks' values there:  Σ (s_i - s̄) M_i / Σ M_i.  The paper has
    Σ s_i M_i / (samples × keep), which suits probabilities. A logit has no natural zero: its offset would show in the
    map as the pattern of how often each pixel was kept. The paper hides with black; here a baseline hides.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: draws the masks.
        samples: number of masks; each costs a pass.
        cell: side of a grid cell, px: the resolution of the map; smaller cells give noisier maps.
        keep: probability that a cell is kept, in (0, 1).
        baseline: the reference that hides, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits, 0 outside the field of view.

    Raises:
        UserError: for an unknown baseline, fewer than two samples, a cell below 1 px, or ``keep`` outside (0, 1).
    """
    at_least(2, "samples", samples)
    at_least(1, "cell", cell)
    open_unit("keep", keep)
    fov = scorer.target.fov
    reference = scorer.reference(baseline, image)
    nodes = [hats(n, cell).shape[1] for n in fov.shape]
    draws = [(rng.uniform(0, cell, 2), rng.random(nodes) < keep) for _ in range(samples)]

    # In torch: NumPy's BLAS threads would keep spinning while the network computes.
    def masks() -> Iterator[Tensor]:
        for shift, grid in draws:  # the shift is up and left, px
            y, x = (torch.from_numpy(hats(n, cell, s)) for n, s in zip(fov.shape, shift, strict=True))
            yield y @ torch.from_numpy(grid).double() @ x.T

    image, reference = image.to(scorer.device), reference.to(scorer.device)
    place = torch.empty_like(image)
    kept = (mask.to(image) for mask in masks())
    values = np.array(scorer.shared.scores(torch.lerp(reference, image, mask, out=place) for mask in kept))
    total, coverage = torch.zeros((2, *fov.shape), dtype=torch.float64)
    for mask, value in zip(masks(), values - values.mean(), strict=True):
        total += value * mask
        coverage += mask
    mean = torch.where(coverage > 0, total / coverage, 0)
    return torch.where(fov, mean, 0).float()


def hats(size: int, cell: int, shift: float = 0.0) -> np.ndarray:
    """Matrix of the linear interpolation from nodes ``cell`` px apart to pixels, along one axis.

    Args:
        size: pixels.
        cell: distance of the nodes, px.
        shift: of the nodes, towards lower pixels, px in [0, cell].

    Returns:
        (size, nodes) float64, rows that sum to 1.

    Example:
        >>> hats(3, 2)[:, :2].tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    nodes = np.arange((size - 1) // cell + 3)
    place = (np.arange(size) + shift) / cell
    weights: np.ndarray = np.clip(1 - np.abs(place[:, None] - nodes), 0, None)
    return weights


@explainer("extremal", family="perturbation", paper="fong2019")
def extremal(
    scorer: Scorer, image: Tensor, *, area: float = 0.1, steps: int = 100, cell: int = 8, baseline: str = "blur"
) -> Tensor:
    """The smooth mask of a given area that keeps the score highest while the rest is blurred.

    The mask blends the image with its baseline. Adam maximises the score, divided by the score that can be kept, minus
    a growing area penalty [fong2019]: the mean squared difference between the mask and an ideal that is 1 on the share
    ``area`` of the field of view where the mask is highest, and 0 elsewhere. Among equal mask values, as at the start,
    the ideal is the mean over all orders: sorting, as in the paper, breaks ties by position, and the mask then stays in
    the band of the image where it started. The mask is smooth by construction, as the linear upsampling of a grid; the
    paper uses a smooth maximum of shifted kernels.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        area: share of the field of view to keep, in (0, 1).
        steps: steps of Adam; each costs a pass with a gradient.
        cell: distance of the grid's nodes, px: the resolution of the mask.
        baseline: the reference that hides, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32 in [0, 1], 0 outside the field of view; all 0 if image and baseline have the same score.

    Raises:
        UserError: for an unknown baseline, fewer than one step, a cell below 1 px, or ``area`` outside (0, 1).
    """
    at_least(1, "steps", steps)
    at_least(1, "cell", cell)
    open_unit("area", area)
    fov = scorer.target.fov.to(scorer.device)
    image = image.to(scorer.device)
    reference = scorer.reference(baseline, image)
    whole, hidden = scorer.shared.scores([image, reference])
    gain = abs(whole - hidden)
    if gain < 1e-6 * max(1.0, abs(whole)):
        return torch.zeros(fov.shape)
    y, x = (torch.from_numpy(hats(n, cell)).to(image) for n in fov.shape)
    difference = (image - reference) / gain
    grid = torch.full((y.shape[1], x.shape[1]), 0.5, device=image.device)
    adam = torch.optim.Adam([grid], lr=RATE)
    for weight in np.geomspace(*AREA_WEIGHT, steps):
        mask = y @ grid @ x.T
        picture = torch.lerp(reference, image, mask)[None].requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(scorer(picture).sum(), picture)
        kept = (gradient[0] * difference).sum(0)
        held, excess = mask[fov], torch.zeros_like(mask)
        excess[fov] = (held - _ideal(held, area)) * (2 / len(held))
        grid.grad = y.T @ (float(weight) * excess - kept) @ x
        adam.step()
        grid.clamp_(0, 1)
    return torch.where(fov, y @ grid @ x.T, 0)


def _ideal(mask: Tensor, area: float) -> Tensor:
    """(n,) 1 on the share ``area`` of highest values and 0 elsewhere; values of one level share theirs."""
    levels = (mask * LEVELS).round().long().clamp(0, LEVELS)
    count = torch.bincount(levels, minlength=LEVELS + 1).double()
    above = count.flip(0).cumsum(0).flip(0) - count
    share = ((area * len(mask) - above) / count.clamp(min=1)).clamp(0, 1)
    return share[levels].to(mask)
