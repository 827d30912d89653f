"""Robustness to noise, and sensitivity to the target."""

import math
from functools import partial

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.metrics.similarity import correlation
from xaibench.parameter_checks import at_least
from xaibench.registry import metric
from xaibench.scorer import Scorer


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's ρ of two (n,) arrays, ties sharing their mean rank; 1 if both are constant, 0 if one is.

    Example:
        >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 27.0]))
        1.0
    """
    if np.ptp(a) == 0 and np.ptp(b) == 0:
        return 1.0
    return correlation(rankdata(a), rankdata(b))


@metric(
    "max-sensitivity",
    family="robustness",
    better="lower",
    range=(0, math.inf),
    measures="method",
    paper="yeh2019",
    suites=("full",),
)
def max_sensitivity(
    case: Case, scorer: Scorer, *, rng: np.random.Generator, method: Method, radius: float = 0.02, draws: int = 10
) -> Score:
    """Largest change of a map, relative to its norm, under image noise of up to ±.02 per value [yeh2019].

    captum's ``sensitivity_max`` of the map inside the field of view, with uniform noise inside it that keeps values
    within [0, 1]. A stochastic method draws new random numbers for each image; this change counts, too.

    Args:
        radius: half-width of the uniform noise.
        draws: number of noisy images.
    """
    from captum.metrics import sensitivity_max

    at_least(1, "draws", draws)
    if not radius > 0:
        raise UserError(f"radius={radius} is not positive.", "Give a small positive number, such as 0.02.")

    def noisy(images: Tensor, _radius: float) -> Tensor:
        noise = torch.from_numpy(rng.uniform(-radius, radius, tuple(images.shape)).astype(np.float32))
        return torch.where(case.fov, (images + noise).clamp(0, 1), images)

    def explained(images: Tensor | tuple[Tensor, ...]) -> Tensor:
        (noisy_images,) = images if isinstance(images, tuple) else (images,)
        maps = list(map(partial(method, scorer, case), noisy_images))
        return torch.from_numpy(np.where(case.fov.numpy(), np.stack(maps)[:, None], 0))

    largest = sensitivity_max(
        explained,
        case.image[None],
        perturb_func=noisy,
        perturb_radius=radius,
        n_perturb_samples=draws,
        max_examples_per_batch=1,
    )
    return Score(float(largest[0]))


@metric(
    "target-sensitivity",
    family="robustness",
    better="higher",
    range=(0, 2),
    targets=("thin", "thick"),
    measures="method",
    paper="sixt2020",
)
def target_sensitivity(case: Case, scorer: Scorer, *, method: Method) -> Score:
    """1 − Spearman's ρ of the method's maps for thin and thick vessels: 0 if the target is ignored [sixt2020]."""
    fov = case.fov.numpy()
    thin, thick = (method.about(scorer, case, part)[1][fov] for part in ("thin", "thick"))
    return Score(1 - spearman(thin, thick))
