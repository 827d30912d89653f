"""Shapley values of regions: the mean contribution of a region over all orders of joining.

A fundus image has a million values, and their Shapley values would need a pass per value and order. So the players are
regions, hidden by a reference image. The libraries see a game of some dozens of players instead of an image: they hold
vectors of 0 and 1 in memory, not batches of images.
"""

import warnings
from functools import partial

import numpy as np
import torch
from torch import Tensor

from xaibench.data.regions import spread
from xaibench.errors import UserError
from xaibench.explainers.explain import seeded_globally
from xaibench.parameter_checks import at_least
from xaibench.registry import explainer
from xaibench.scorer import Scorer
from xaibench.scorer.coalition_game import CoalitionGame, region_game

LEAF = 64  # px, the area below which partition-shap does not divide a part
shapley_method = partial(explainer, family="shapley", signed=True, sums_to="difference")
# Warnings of shap's import and of numba's compiler, which no user can act on.
_without_warnings = partial(warnings.catch_warnings, action="ignore")


@shapley_method("kernel-shap", stochastic=True, paper="lundberg2017", library="shap")
def kernel_shap(
    scorer: Scorer,
    image: Tensor,
    *,
    segments: int = 40,
    samples: int = 300,
    regions: str = "slic",
    baseline: str = "blur",
) -> Tensor:
    """Shapley values of superpixels by weighted regression on the scores of sampled coalitions (Kernel SHAP).

    With all coalitions sampled the regression gives the exact Shapley values; its sum is constrained to the score minus
    the baseline's score [lundberg2017, theorem 2]. By default shap keeps the ten most important players and sets the
    others to 0; here all are kept.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        segments: approximate number of superpixels.
        samples: coalitions besides the empty and the full one; each costs a pass. If there are no more coalitions
            than this, all are taken and the result is exact.
        regions: ``"slic"`` or ``"tiles"``, see :func:`~xaibench.data.regions.superpixels`.
        baseline: the reference that hides a region, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits; each region's value is shared evenly by its pixels.

    Raises:
        UserError: for unknown regions or baseline, fewer than one segment, or too few samples for a unique solution.
    """
    labels, count, value = region_game(scorer, image, segments, regions, baseline)
    few = UserError(
        f"samples={samples} cannot tell {count} regions apart.",
        f"Give at least {4 * count} samples, better ten per region, or fewer segments.",
    )
    # A coalition and its complement give the same equation in the count - 1 unknowns.
    if samples < min(2 * (count - 1), 2**count - 2):
        raise few
    with _without_warnings():
        import shap

        method = shap.KernelExplainer(value, np.zeros((1, count)))
        values = method.shap_values(np.ones(count), nsamples=samples, l1_reg=False, silent=True)
    # The drawn coalitions can leave the regression underdetermined; shap then returns arbitrary numbers.
    if count > 1 and np.linalg.matrix_rank(method.maskMatrix[:, 1:] - method.maskMatrix[:, :1]) < count - 1:
        raise few
    return spread(values, labels, scorer.target.fov)


@shapley_method("shapley-sampling", stochastic=True, paper="castro2009", library="captum")
def shapley_sampling(
    scorer: Scorer,
    image: Tensor,
    *,
    segments: int = 40,
    permutations: int = 8,
    regions: str = "slic",
    baseline: str = "blur",
) -> Tensor:
    """Shapley values of superpixels, estimated from random orders of joining [castro2009; strumbelj2010].

    A region's value is the mean rise of the score when it joins. Each order sums to the score minus the baseline's
    score, and so does the map. captum receives the coalition game instead of the image, so that it does not make a
    masked copy and a mask of the image for every pass.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        segments: approximate number of superpixels.
        permutations: random orders; each costs about one pass per superpixel.
        regions: ``"slic"`` or ``"tiles"``, see :func:`~xaibench.data.regions.superpixels`.
        baseline: the reference that hides a region, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits; each region's value is shared evenly by its pixels.

    Raises:
        UserError: for unknown regions or baseline, fewer than one segment or permutation.
    """
    from captum.attr import ShapleyValueSampling

    at_least(1, "permutations", permutations)
    labels, count, value = region_game(scorer, image, segments, regions, baseline)
    method = ShapleyValueSampling(lambda present: torch.from_numpy(value(present.numpy())))
    values = method.attribute(torch.ones(1, count), 0, n_samples=permutations, perturbations_per_eval=count)
    return spread(values[0].numpy(), labels, scorer.target.fov)


@shapley_method("partition-shap", paper="lundberg2020", library="shap")
def partition_shap(scorer: Scorer, image: Tensor, *, samples: int = 300, baseline: str = "blur") -> Tensor:
    """Owen values of the field of view, halved recursively where the score changes most (Partition SHAP).

    The field of view is halved across its longer side, each half again, and so on. A part shares its value with its
    sibling as two players would, with the rest of the image hidden and shown [owen1977; lundberg2020]. Passes go where
    halving changes the score most, so regions are small where it matters. The map sums to the score minus the
    baseline's score.

    shap's own image masker makes every value a player: it also divides the black surround and, in the end, the colours
    of a pixel, and holds half a gigabyte of masks for a DRIVE image. Here the players are 2^k equal parts of the field
    of view of about 8 × 8 px, in all colours. shap breaks ties at random; its seed is fixed here.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        samples: number of passes.
        baseline: the reference that hides a part, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits.

    Raises:
        UserError: for an unknown baseline, or fewer than four samples.
    """
    at_least(4, "samples", samples)
    fov = scorer.target.fov
    labels, count = halvings(fov.numpy())
    value = CoalitionGame(scorer, image, scorer.reference(baseline, image), labels)
    if count == 1:
        return spread(np.diff(value(np.array([[0], [1]]))), labels, fov)
    with _without_warnings(), seeded_globally(0):
        import shap

        method = shap.PartitionExplainer(value, shap.maskers.Partition(np.zeros((1, count)), clustering=_tree(count)))
        values = method(np.ones((1, count)), max_evals=samples, silent=True).values[0]
    return spread(values, labels, fov)


def halvings(fov: np.ndarray) -> tuple[np.ndarray, int]:
    """Cut the field of view into 2^k parts of equal area (within one pixel), halving across the longer side.

    Args:
        fov: (H, W) bool.

    Returns:
        (H, W) int64 labels, 0 outside the field of view, of which 2i and 2i + 1 are siblings at every level; and 2^k.

    Example:
        >>> halvings(np.ones((16, 12), bool))[0][:, 0].tolist() == [0] * 8 + [1] * 8
        True
    """
    pixels = np.argwhere(fov)
    parts = [np.arange(len(pixels))]
    while len(parts) * 2 * LEAF <= len(pixels):
        parts = [half for part in parts for half in _halve(part, pixels)]
    labels = np.zeros(fov.shape, np.int64)
    for i, part in enumerate(parts):
        labels[tuple(pixels[part].T)] = i
    return labels, len(parts)


def _halve(part: np.ndarray, pixels: np.ndarray) -> list[np.ndarray]:
    places = pixels[part]
    longer = int(np.argmax(np.ptp(places, axis=0)))
    return np.array_split(part[np.argsort(places[:, longer], kind="stable")], 2)


def _tree(count: int) -> np.ndarray:
    """(count - 1, 4): for each inner node its two children, a distance (any >= 0), and its number of leaves."""
    children = np.arange(2 * (count - 1)).reshape(-1, 2)  # level by level, pair by pair
    size = np.concatenate([np.full(count >> k, 2**k) for k in range(1, count.bit_length())])
    return np.column_stack([children, np.ones(count - 1), size]).astype(np.float64)
