"""Completeness: does a map sum to what its method promises?"""

import math

import numpy as np
import torch

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer

LEAST = 1e-6  # logits; a smaller total is rounding noise


@metric("completeness", family="axioms", better="lower", range=(0, math.inf), paper="sundararajan2017")
def completeness(attribution: np.ndarray, case: Case, scorer: Scorer, *, method: Method) -> Score:
    """Relative error of the map's sum, |Σa − (g(x) − g(x₀))| ÷ |g(x) − g(x₀)| [sundararajan2017].

    x₀ is the method's own baseline; for a method that conserves the score, such as layer-wise relevance propagation,
    g(x₀) is 0. Maps are stored with eleven bits, an error of about 1e-4 Σ|a| in the sum.

    Raises:
        Skipped: if the method promises no sum, or the total is 0.
    """
    promise = method.spec.plugin.traits.sums_to
    if not promise:
        raise Skipped("the method promises no sum")
    images = [case.image]
    if promise == "difference":
        images.append(scorer.reference(method.spec.parameters["baseline"], case.image))
    score, *without = scorer(torch.stack(images)).tolist()
    wanted = score - (without[0] if without else 0.0)
    if abs(wanted) < LEAST:
        raise Skipped("image and reference have the same score, so there is nothing to attribute")
    return Score(abs(float(attribution.sum(dtype=np.float64)) - wanted) / abs(wanted))
