"""Randomisation: does a map depend on the learned weights?"""

import copy
from contextlib import ExitStack
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.metrics.method import Method
from xaibench.metrics.robustness.sensitivity import spearman
from xaibench.metrics.score import Score, as_curve
from xaibench.parameter_checks import at_least
from xaibench.registry import metric
from xaibench.scorer import Scorer

PASSES_BELOW = 0.5  # mean Spearman's ρ with the maps of randomised networks
NOISE = 0.02  # standard deviation of the noisy images that the smooth variant averages over


@metric(
    "mprt",
    family="randomisation",
    better="lower",
    range=(-1, 1),
    measures="method",
    gate=PASSES_BELOW,
    paper="adebayo2018",
    suites=("full",),
)
def mprt(
    case: Case, scorer: Scorer, *, rng: np.random.Generator, method: Method, stages: int = 6, draws: int = 1
) -> Score:
    """Mean Spearman ρ of a map with the maps of the network randomised from the output, layer by layer [adebayo2018].

    The layers with weights form ``stages`` groups of about equal size, from the output to the input. Each stage draws
    initial weights for one more group and keeps the earlier groups randomised. The curve is the similarity after each
    stage. A map that does not change shows the image, not the network. The metric is a gate, not a rank: among maps
    that differ, no value is better than another.

    Args:
        stages: number of groups.
        draws: number of noisy images that each map is averaged over, 1 for the image itself; more give the smooth
            variant [hedstrom2024], in which shattered gradients are comparable.
    """
    at_least(1, "stages", stages)
    at_least(1, "draws", draws)
    seed, fov = int(rng.integers(2**31)), case.fov.numpy()
    noise = [_noisy(case, np.random.default_rng([seed, i])) for i in range(draws)] if draws > 1 else [case.image]

    def smooth(explained: Scorer) -> np.ndarray:
        maps = list(map(partial(method, explained, case), noise))
        return np.asarray(np.mean([map_[fov] for map_ in maps], axis=0))

    original, similar = smooth(scorer), []
    for network in scorer.cache.get(randomised, scorer.model, case.image, stages, seed):
        changed = Scorer(network, scorer.target, device=scorer.device, engine=scorer.engine)
        similar.append(spearman(original, smooth(changed)))
    return Score(float(np.mean(similar)), as_curve(range(1, len(similar) + 1), similar))


def randomised(model: nn.Module, image: Tensor, stages: int, seed: int) -> list[nn.Module]:
    """Copies of the network, each with one more group of layers randomised, from the output to the input.

    Args:
        model: a network in evaluation mode.
        image: (3, H, W), for the order in which the layers run.
        stages: largest number of copies.
        seed: seed of the initial weights.

    Raises:
        Skipped: if no layer of the network has ``reset_parameters``.
    """
    names = _in_order(model, image)[::-1]
    if not names:
        raise Skipped("the network has no layer that could be randomised")
    found: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for group in np.array_split(np.array(names, object), min(stages, len(names))):
            network = copy.deepcopy(found[-1] if found else model)
            for name in group:
                network.get_submodule(name).reset_parameters()  # type: ignore[operator]
            found.append(network.eval())
    return found


def _in_order(model: nn.Module, image: Tensor) -> list[str]:
    """Names of the layers with ``reset_parameters``, in the order of their first call."""
    order: list[str] = []
    with torch.no_grad(), ExitStack() as hooks:
        for name, module in model.named_modules():
            if hasattr(module, "reset_parameters") and any(True for _ in module.parameters(recurse=False)):
                note = lambda _m, _in, _out, name=name: order.append(name)
                hooks.enter_context(module.register_forward_hook(note))
        model(image[None].to(next(model.parameters()).device, copy=True))
    return list(dict.fromkeys(order))


def _noisy(case: Case, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.normal(0, NOISE, tuple(case.image.shape)).astype(np.float32))
    return torch.where(case.fov, (case.image + noise).clamp(0, 1), case.image)
