"""Axioms: does a method keep what it promises?"""

from __future__ import annotations

import math

import numpy as np
import torch

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer

LEAST = 1e-6  # logits; a smaller sum is rounding noise


@metric("completeness", family="axioms", better="lower", range=(0, math.inf), paper="sundararajan2017")
def completeness(
    attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator, method: Method
) -> Score:
    """How far the map's sum misses what it promises, |Σa − (g(x) − g(x₀))| ÷ |g(x) − g(x₀)| [sundararajan2017].

    x₀ is the reference that the method's own parameter ``baseline`` names; for a method that conserves the score, as
    layer-wise relevance propagation does, g(x₀) is 0. Maps are stored with eleven bits, which blurs a sum by some
    1e-4 of Σ|a|.

    Raises:
        Skipped: if the method promises nothing, or there is no difference to share out.
    """
    promise = method.spec.plugin.traits.sums_to
    if not promise:
        raise Skipped("the method promises no sum")
    pictures = [case.image]
    if promise == "difference":
        pictures.append(scorer.reference(method.spec.parameters["baseline"], case.image))
    score, *without = scorer(torch.stack(pictures)).tolist()
    wanted = score - (without[0] if without else 0.0)
    if abs(wanted) < LEAST:
        raise Skipped("the score of the image is that of the reference, so there is nothing to share out")
    return Score(abs(float(attribution.sum(dtype=np.float64)) - wanted) / abs(wanted))
