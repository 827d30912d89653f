"""Faithfulness metrics that compare the attribution of random patches with the effect of removing them.

The patches and the effects of their removal are the same for all methods on one image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from xaibench.data.case import Case
from xaibench.data.regions import window_sums
from xaibench.errors import Skipped
from xaibench.imputation.fills import prepare_fill
from xaibench.metrics.score import Score
from xaibench.metrics.similarity import correlation
from xaibench.parameter_checks import at_least
from xaibench.registry import metric
from xaibench.scorer import Scorer
from xaibench.scorer.local_forward import Box

patch_metric = partial(
    metric,
    family="faithfulness",
    invariant="scale",
    known_failures={"mirrored": "the patches are drawn for one picture, and drawn anew for a mirrored one"},
    suites=("standard", "full"),
)


@dataclass(frozen=True)
class Patches:
    """Square patches of one image, each wholly inside the field of view.

    Attributes:
        corners: (N, 2) row and column of the upper left pixel.
        side: px.
        drops: (N,) score of the image less that of the image without the patch, in logits.
    """

    corners: np.ndarray
    side: int
    drops: np.ndarray

    def sums(self, attribution: np.ndarray) -> np.ndarray:
        """(N,) attribution summed over each patch."""
        a = attribution.astype(np.float64)
        return np.array([a[y : y + self.side, x : x + self.side].sum() for y, x in self.corners])


def remove_patches(case: Case, scorer: Scorer, seed: int, count: int, side: int, fill: str) -> Patches:
    """Draw patches and measure the effect of removing each.

    Args:
        case: the image.
        scorer: network and target.
        seed: of the places and of the fill.
        count: number of patches.
        side: of a patch, px at DRIVE's scale.
        fill: what a removed patch is replaced with, see :func:`~xaibench.imputation.fills.prepare_fill`.

    Raises:
        UserError: for fewer than two patches, or a side below 1.
        Skipped: if no such patch fits into the field of view.
    """
    at_least(2, "patches", count)
    at_least(1, "side", side)
    pixels, fov, rng = max(1, round(side * case.scale)), case.fov.numpy(), np.random.default_rng(seed)
    if min(fov.shape) < pixels or not len(places := np.argwhere(window_sums(fov, pixels, pixels) == pixels**2)):
        raise Skipped(f"no patch of {pixels} px fits into the field of view")
    corners = places[rng.integers(len(places), size=count)]
    filler = prepare_fill(fill, case.image.numpy(), fov, scale=case.scale, rng=rng)
    local = scorer.local_forward(case.image)

    def without(top: int, left: int) -> tuple[Box, torch.Tensor]:
        place, removed = Box(top, left, top + pixels, left + pixels), np.zeros(fov.shape, bool)
        removed[place.index] = True
        content = torch.from_numpy(np.ascontiguousarray(filler(removed)[place.index]))
        return place, content.to(scorer.device)

    scores = scorer.shared.changed_scores(local, (without(*corner) for corner in corners.tolist()))
    return Patches(corners, pixels, scorer.shared.base_score(local) - np.array(scores))


def of_patches(compare: Callable[[np.ndarray, np.ndarray], float]) -> Callable[..., Score]:
    """The function of a metric from one of the sums of the map over the patches and of the drops, (N,) each.

    It has that function's docstring and the parameters ``patches``, ``side`` and ``fill``.
    """

    def score(
        attribution: np.ndarray,
        case: Case,
        scorer: Scorer,
        *,
        rng: np.random.Generator,
        patches: int = 100,
        side: int = 16,
        fill: str = "blur",
    ) -> Score:
        removed = scorer.cache.get(remove_patches, case, scorer, int(rng.integers(2**63)), patches, side, fill)
        return Score(compare(removed.sums(attribution), removed.drops))

    score.__doc__ = compare.__doc__
    return score


@patch_metric("infidelity", better="lower", range=(0, math.inf), paper="yeh2019")
@of_patches
def infidelity(sums: np.ndarray, drops: np.ndarray) -> float:
    """Mean squared error with which a map predicts what the removal of a patch does to the score [yeh2019].

    E[(β Σ_patch a − (g(x) − g(x without the patch)))²] over random square patches, with the scaling β of the map that
    minimises it; in squared logits. A map of zeros predicts no drop and scores the mean square of the drops. captum's
    ``infidelity`` gives the same with ``normalize=True`` and these perturbations (tested), at a pass per patch and
    method; here the drops are measured once, because they do not depend on the map.
    """
    power = float((sums**2).mean())
    beta = float((sums * drops).mean()) / power if power > 0 else 0.0
    return float(((beta * sums - drops) ** 2).mean())


@patch_metric("faithfulness-correlation", better="higher", range=(-1, 1), chance=0, paper="bhatt2020")
@of_patches
def faithfulness_correlation(sums: np.ndarray, drops: np.ndarray) -> float:
    """Pearson correlation of a patch's summed attribution and the drop in score without it [bhatt2020].

    All patches have one size, so that a constant map gives all of them the same sum: its correlation is 0.

    Raises:
        Skipped: if the removal of every patch has the same effect on the score.
    """
    if np.ptp(drops) == 0:
        raise Skipped("the removal of no patch changes the score")
    return correlation(sums, drops)
