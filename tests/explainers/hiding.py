"""What tests of the methods that hide parts of an image share."""

import numpy as np
import torch
from torch import Tensor

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.registry import Plugin, Spec, get
from xaibench.scorer import Scorer

# Each method with parameters that make it cheap.
FEW: dict[str, dict[str, object]] = {
    "occlusion": {"patch": 8, "stride": 8},
    "feature-ablation": {"segments": 12},
    "rise": {"samples": 40, "cell": 8},
    "extremal": {"steps": 15, "cell": 4},
    "kernel-shap": {"segments": 10, "samples": 60},
    "shapley-sampling": {"segments": 10, "permutations": 3},
    "partition-shap": {"samples": 40},
    "lime": {"segments": 10, "samples": 60},
}


def few(method: str | Plugin, **parameters: object) -> Spec:
    """The method with cheap parameters, and with these instead."""
    plugin = get("explainer", method) if isinstance(method, str) else method
    return Spec(plugin, tuple((FEW[plugin.name] | parameters).items()))


def region_sums(map_: Tensor, labels: np.ndarray) -> np.ndarray:
    """(regions,) float64 sums of a map over its regions."""
    return np.bincount(labels.ravel(), map_.double().numpy().ravel())


def worth(case: Case, baseline: str = "blur") -> Tensor:
    """(H, W) w (x - x₀) for the score of GreenFilter over the vessels: the exact Shapley value of each pixel."""
    difference = (case.image - reference_image(baseline, case.image, case.fov, case.scale))[1]
    return -20.0 * case.vessels / case.vessels.sum() * difference


def gain(scorer: Scorer, image: Tensor, baseline: str) -> float:
    """The score less the baseline's."""
    reference = reference_image(baseline, image, scorer.target.fov, scorer.target.scale)
    return float(scorer(image[None]) - scorer(reference[None]))


def grey(case: Case) -> Tensor:
    """(3, H, W) an image without contrast in the field of view."""
    return torch.where(case.fov, torch.full_like(case.image, 0.4), 0.0)
