"""A made-up eye, and networks whose answer is known or whose flaws are those of real ones."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.data.case import Case, make_case
from xaibench.explainers.explain import explain
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.models.layers import named_layers
from xaibench.models.networks.unet import VesselUNet
from xaibench.registry import ExplainerTraits, Plugin, Spec
from xaibench.scorer import Scorer, Target

HEIGHT, WIDTH = 61, 70  # unlike, and no multiples of the network's stride


class GreenFilter(nn.Module):
    """A white box: the logit of a pixel is ``gain`` × (``level`` − its green), whatever is around it."""

    def __init__(self, level: float = 0.4, gain: float = 20.0) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor(level))
        self.register_buffer("gain", torch.tensor(gain))

    def forward(self, images: Tensor) -> Tensor:
        return self.gain * (self.level - images[:, 1:2])


class PlainCNN(nn.Module):
    """A network as users bring it: no named layers, in-place activations, batch norm, dropout, frozen or not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.down = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout2d(0.5)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.head = nn.Conv2d(12, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.first(images)
        coarse = self.drop(self.act(self.down(fine)))
        up = self.up(coarse)[..., : images.shape[-2], : images.shape[-1]]
        return self.head(torch.cat([fine, up], 1))


def unsettle(model: nn.Module, seed: int) -> nn.Module:
    """Give batch norms statistics and scales of their own, so that a pass in the wrong mode shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
    return model


def settled(build: Callable[[], nn.Module], seed: int) -> Any:
    """What is built with random weights of this seed, in evaluation mode, with statistics of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return unsettle(build(), seed).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Values between 0 and 1, the same for the same seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def chance() -> tuple[object, ...]:
    """The state of the generators that a whole process shares."""
    return random.getstate(), repr(np.random.get_state()), torch.random.get_rng_state().tolist()  # noqa: NPY002


def make_network(seed: int = 6) -> VesselUNet:
    """With the default seed no layer's Grad-CAM is zero everywhere, as a network without training can have it."""
    return settled(lambda: VesselUNet(channels=(4, 8, 8, 8, 8)), seed)


def layer_outputs(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The outputs of the layers that a network names, in the order in which data passes them."""
    outputs: dict[str, Tensor] = {}
    with torch.no_grad(), ExitStack() as hooks:
        for name, layer in named_layers(model, images[0]).items():
            hooks.callback(layer.register_forward_hook(lambda _m, _i, out, n=name: outputs.update({n: out})).remove)
        model(images)
    return outputs


def draw_eye(*, image_seed: int = 0, id: str = "eye") -> Case:
    """A lit disc with vessels darker than their surroundings: two of radius 1 (thin), two of radius 2.5 (thick).

    Green is .2 to .3 on vessels and .55 to .65 off them, in steps of 1/255 as in any photograph.
    """
    rng = np.random.default_rng(image_seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    fov = np.hypot(y - 30, x - 34.5) <= 29
    caliber = np.zeros((HEIGHT, WIDTH))
    caliber[14:15, 15:55] = caliber[20:50, 50:51] = 1.0
    caliber[24:29, 12:44] = caliber[34:55, 30:35] = 2.5
    vessels = caliber > 0
    image = rng.uniform(0.55, 0.65, (3, HEIGHT, WIDTH)) - 0.35 * vessels
    image = np.where(fov, np.rint(image * 255) / 255, 0).astype(np.float32)
    # The other observer is a pixel lower.
    return make_case(id, image, vessels, fov, caliber=caliber, scale=1.0, observer2=np.roll(vessels, 1, axis=0))


def target_on(case: Case, mask: Tensor | None = None) -> Target:
    mask = case.vessels if mask is None else mask
    return Target("mine", mask, case.fov, mask.float(), case.scale)


def green_scorer(case: Case, mask: Tensor | None = None) -> Scorer:
    """Of a white box that finds the eye's thin and thick vessels."""
    return Scorer(GreenFilter(0.4, 8.0), target_on(case, mask))


def rng() -> np.random.Generator:
    """A generator that begins anew with each call."""
    return np.random.default_rng(11)


FEW = {"samples": 12, "steps": 4, "segments": 6}


def cheap(method: Plugin) -> Spec:
    """The method with as few samples, steps and segments as show what it does."""
    few = {k: v for k, v in FEW.items() if method.parameters.get(k, 0) > v}
    return Spec(method, tuple((k, few[k]) for k in method.parameters if k in few))


def method_of(plugin: Plugin, **given: Any) -> Method:
    """An explainer with these parameters, as metrics get it."""
    return Method(
        Spec(plugin, tuple(given.items())),
        lambda scorer, image, spec, case: explain(scorer, image, method=spec, case=case),
    )


def own_method(make: Callable[[Scorer, Tensor, Case], Tensor], name: str = "own", *, signed: bool = True) -> Method:
    """A method written in a test; it sees the case."""
    plugin = Plugin("explainer", name, make, "local", ExplainerTraits(signed=signed))
    return Method(Spec(plugin), lambda scorer, image, _spec, case: make(scorer, image, case))


def score_of_method(metric: Plugin, method: Method, case: Case, scorer: Scorer, **parameters: Any) -> Score:
    """The score of a metric that asks the method for maps of its own; it is in the declared range."""
    unused = np.zeros(tuple(case.fov.shape), np.float32)
    score: Score = metric(unused, case, scorer, rng=np.random.default_rng(0), method=method, **parameters)
    low, high = metric.traits.range
    assert low <= score.value <= high
    return score
