"""Subjects of the metric checks: a small eye with known vessels, a network that sees them, maps of all kinds."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.explainers.explain import Method as MethodName
from xaibench.explainers.explain import explain
from xaibench.metrics.method import Method
from xaibench.registry import Spec, parse
from xaibench.scorer import Scorer, target
from xaibench.scorer.batching import Engine

SEED, SIZE = 11, (128, 128)
EXPLAINER = "integrated-gradients[steps=6]"  # the method behind the map, for metrics that ask for further maps
GOOD = "a fairly good signed map"


class DarkSpots(nn.Module):
    """A white box: the logit of a pixel is how much darker it is in green than the mean around it, less a little.

    It finds vessels and whatever else is dark, so that some of it is false. A mirrored image has mirrored logits, and
    an image has the same logits in every batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(60.0))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits."""
        green = images[:, 1:2]
        mean = torch.cat([avg_pool2d(g[None], 21, stride=1, padding=10, count_include_pad=False) for g in green])
        return self.gain * (mean - green - 0.04)

    def reset_parameters(self) -> None:
        """Draw a first weight, as layers do."""
        nn.init.normal_(self.gain, 0, 20)


@cache
def eye() -> Case:
    """A small phantom with thin and thick vessels, and a second observer whose vessels lie a pixel lower."""
    case = draw_phantom(SEED, SIZE)
    return replace(case, observer2=torch.roll(case.vessels, 1, 0) & case.fov)


def mirrored(case: Case) -> Case:
    """The case seen in a mirror."""
    return case.transformed(lambda t: t.flip(-1), f"{case.id} mirrored")


def emptied(case: Case, part: str) -> Case:
    """The case without vessels of a part: ``"vessels"``, ``"thin"`` or ``"thick"``."""
    kept = case.vessels & ~{"vessels": case.vessels, "thin": case.thin, "thick": case.thick}[part]
    return replace(case, vessels=kept, caliber=torch.where(kept, case.caliber, 0.0))


def scorer_for(case: Case, *, micro_batch: int = 1) -> Scorer:
    """A scorer of the white box, for what it finds in the case."""
    network = DarkSpots().eval()
    return Scorer(network, target("vessels", network, case), engine=Engine(micro_batch))


def method(name: MethodName = EXPLAINER) -> Method:
    """An explainer as a run hands it to a metric."""
    return Method(parse("explainer", name), _map)


def _map(scorer: Scorer, image: Tensor, spec: Spec, case: Case) -> Tensor:
    return explain(scorer, image, method=spec, seed=0, case=case)


def zeros(image: Tensor) -> Tensor:
    """A method whose map is 0 everywhere."""
    return torch.zeros(tuple(image.shape[1:]))


@cache
def maps() -> dict[str, np.ndarray]:
    """(H, W) float32 maps of all kinds, by what they are called."""
    case, rng = eye(), np.random.default_rng(0)
    vessels = case.vessels.numpy().astype(np.float32)
    noise = (rng.permutation(vessels.size).reshape(vessels.shape) / vessels.size).astype(np.float32)  # no two are equal
    good = (noise + 0.4 * vessels - 0.3).astype(np.float32)
    sparse = np.where(rng.random(vessels.shape) < 0.8, 0, rng.standard_cauchy(vessels.shape)).astype(np.float32)
    return {
        "noise": noise,
        GOOD: good,
        "a map with many ties": (np.round(good * 20) / 20).astype(np.float32),
        "a map that is zero in most places": sparse,
        "the true vessels": vessels,
        "all but the true vessels": 1 - vessels,
        "an all-zero map": np.zeros_like(vessels),
        "a constant map": np.ones_like(vessels),
        "a negative constant map": np.full_like(vessels, -2.5),
        "a map as small as gradients are": good * np.float32(2.0**-40),
    }
