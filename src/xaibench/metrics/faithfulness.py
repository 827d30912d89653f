"""Faithfulness: does the network really use what a map shows?

One pair of curves per map and fill gives all three metrics. The target's mean probability s is followed while pixels of
the field of view are replaced by a fill, from most to least attributed and from least to most; the share removed takes
the steps q_k = sin²(πk/40), k = 0 … 20, dense at both ends. Curves are normalised to (s − s_end) / (s_0 − s_end), where
s_end has everything removed, and both endpoints are kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.fills import prepare_fill
from xaibench.metrics.score import Score
from xaibench.registry import metric
from xaibench.scorer import Scorer

STEPS = 20
FRACTIONS = np.sin(np.pi * np.arange(STEPS + 1) / (2 * STEPS)) ** 2  # q_k, from 0 to 1
LEAST_RANGE = 1e-4  # of probability: with less between the whole image and none of it, a curve is rounding noise


@dataclass(frozen=True)
class Curves:
    """Normalised scores at FRACTIONS removed: (STEPS + 1,) each, from 1 to 0."""

    most_first: np.ndarray
    least_first: np.ndarray


def removal_orders(attribution: np.ndarray, fov: np.ndarray, shuffle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Field-of-view pixels from most to least attributed, and from least to most, as flat indices.

    Equal values stand in the same random order in both, so that a constant map gives twice the same order and its
    symmetric relevance gain is exactly 0.

    Args:
        attribution: (H, W).
        fov: (H, W) bool with n pixels.
        shuffle: (n,) a permutation that orders ties.
    """
    pixels = np.flatnonzero(fov)[shuffle]
    values = attribution.ravel()[pixels]
    return pixels[np.argsort(-values, kind="stable")], pixels[np.argsort(values, kind="stable")]


def area(curve: np.ndarray, fractions: np.ndarray = FRACTIONS) -> float:
    """Area under a curve over the fraction removed, by trapezoids."""
    return float(np.trapezoid(curve, fractions))


def removal_curves(attribution: np.ndarray, case: Case, scorer: Scorer, fill: str, rng: np.random.Generator) -> Curves:
    """Both curves of a map; computed once for the metrics that read them.

    Raises:
        Skipped: if removing everything changes the score by less than 1e-4.
    """
    attribution = np.asarray(attribution, np.float32)
    seed = int(rng.integers(2**63))  # the same for each metric of this map, since each gets the same generator anew

    def compute() -> Curves:
        fov = case.fov.numpy()
        ends = scorer.shared(("ends", fill, seed), lambda: _ends(case, scorer, fill, seed))
        if abs(ends[0] - ends[1]) < LEAST_RANGE:
            raise Skipped(f"removing everything ({fill}) changes the target's probability by less than {LEAST_RANGE}")
        orders = removal_orders(attribution, fov, np.random.default_rng([seed, 1]).permutation(int(fov.sum())))
        most, least = (_curve(order, case, scorer, fill, seed, ends) for order in orders)
        return Curves(most, least)

    return scorer.shared(("curves", fill, seed, attribution.tobytes()), compute)


def _ends(case: Case, scorer: Scorer, fill: str, seed: int) -> tuple[float, float]:
    emptied = _filler(case, scorer, fill, seed)(case.fov.numpy())
    scores = scorer.probability(torch.stack([case.image, torch.from_numpy(emptied)]))
    return float(scores[0]), float(scores[1])


def _filler(case: Case, scorer: Scorer, fill: str, seed: int):  # type: ignore[no-untyped-def]
    def prepare():  # type: ignore[no-untyped-def]
        rng = np.random.default_rng([seed, 0])
        return prepare_fill(fill, case.image.numpy(), case.fov.numpy(), scale=case.scale, rng=rng)

    return scorer.shared(("fill", fill, seed), prepare)


def _curve(
    order: np.ndarray, case: Case, scorer: Scorer, fill: str, seed: int, ends: tuple[float, float]
) -> np.ndarray:
    filler = _filler(case, scorer, fill, seed)
    removed = np.zeros(case.fov.numel(), bool)
    scores = [ends[0]]
    done = 0
    for fraction in FRACTIONS[1:-1]:
        count = round(fraction * order.size)
        removed[order[done:count]] = True
        done = count
        image: Tensor = torch.from_numpy(filler(removed.reshape(case.fov.shape)))
        scores.append(float(scorer.probability(image[None])))
    scores.append(ends[1])
    return (np.array(scores) - ends[1]) / (ends[0] - ends[1])


def _score(curve: np.ndarray) -> Score:
    return Score(area(curve), (tuple(FRACTIONS.tolist()), tuple(curve.tolist())))


@metric("deletion", family="faithfulness", better="lower", range=(-math.inf, math.inf))
def deletion(
    attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator, fill: str = "inpaint"
) -> Score:
    """Area under the target's probability as the most attributed pixels are removed first (Petsiuk 2018).

    Near 0 if removing little takes all, 1 if nothing matters until the end. A curve can leave [0, 1] where removal
    makes the network surer than it was, and so can the area.
    """
    return _score(removal_curves(attribution, case, scorer, fill, rng).most_first)


@metric("insertion", family="faithfulness", better="higher", range=(-math.inf, math.inf))
def insertion(
    attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator, fill: str = "inpaint"
) -> Score:
    """Area under the target's probability as the most attributed pixels are added first to the emptied image.

    The image with the most attributed share q added is the image with the least attributed 1 − q removed, and the
    steps are symmetric: so this is the least-first removal curve, read from its end (Petsiuk 2018).
    """
    return _score(removal_curves(attribution, case, scorer, fill, rng).least_first[::-1])


@metric("srg", family="faithfulness", better="higher", range=(-math.inf, math.inf))
def srg(
    attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator, fill: str = "inpaint"
) -> Score:
    """Symmetric relevance gain: removal area, least attributed first, less most attributed first (Blücher 2024).

    0 is chance, and a constant map gives exactly 0. The difference cancels much of what the fill does by itself.
    """
    curves = removal_curves(attribution, case, scorer, fill, rng)
    gain = curves.least_first - curves.most_first
    return Score(area(gain), (tuple(FRACTIONS.tolist()), tuple(gain.tolist())))
