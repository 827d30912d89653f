import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from made_up import settled, target_on
from nets import MAKERS, Function, make
from torch import nn

from explainers.hiding import gain, worth
from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.explainers import deeplift as room
from xaibench.explainers.explain import explain
from xaibench.scorer import Scorer


def tidy() -> nn.Module:
    """A network on which the library's DeepLift works: each activation a module of its own, none in place."""
    net = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2, padding=1)),
        *(nn.Sigmoid(), nn.ConvTranspose2d(6, 4, 2, stride=2), nn.ELU(), nn.Conv2d(4, 1, 1)),
    )
    return Function(lambda self, images: self.net(images)[..., : images.shape[-2], : images.shape[-1]], net=net)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_it_is_the_librarys_where_that_can_be_trusted(eye: Case) -> None:
    model = settled(tidy, 0)
    map_ = explain(Scorer(model, target_on(eye)), eye.image, method=room.deeplift)
    reference = reference_image("blur", eye.image, eye.fov, eye.scale)
    mean = Function(lambda self, images: self.net(images)[:, 0][:, eye.vessels].mean(1, keepdim=True), net=model)
    theirs = DeepLift(mean).attribute(eye.image[None].requires_grad_(), reference[None], target=0)
    theirs = theirs[0].sum(0).detach()
    torch.testing.assert_close(map_, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


@pytest.mark.parametrize("baseline", ["blur", "mean"])
@pytest.mark.parametrize("net", MAKERS)
def test_contributions_sum_to_the_difference_within_a_thousandth(net: str, baseline: str, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    map_ = room.deeplift(scorer, eye.image, baseline=baseline)
    assert scorer.passes == 2
    wanted = gain(scorer, eye.image, baseline)
    assert float(map_.sum()) == pytest.approx(wanted, abs=1e-3 * max(abs(wanted), 0.1 * float(map_.abs().sum())))
    assert map_[~eye.fov].abs().max() == 0


@pytest.mark.parametrize("net", ["own", "pooling"])
def test_the_reference_has_no_contributions(net: str, eye: Case) -> None:
    scorer = Scorer(make(net), target_on(eye))
    assert room.contributions(scorer, eye.image, eye.image).abs().max() == 0


def test_on_a_linear_scorer_it_is_weight_times_difference(linear: Scorer, eye: Case) -> None:
    torch.testing.assert_close(explain(linear, eye.image, method=room.deeplift), worth(eye), rtol=1e-4, atol=1e-8)


def test_deep_shap_is_the_mean_over_references(scorer: Scorer, eye: Case) -> None:
    map_ = room.deep_shap(scorer, eye.image, rng=np.random.default_rng(3), samples=4)
    rng, draw = np.random.default_rng(3), room.random_references(eye.image, eye.fov, eye.scale)
    starts = torch.stack([draw(rng) for _ in range(4)])
    wanted = float(scorer(eye.image[None]) - scorer(starts).mean())
    assert float(map_.sum()) == pytest.approx(wanted, rel=0.01)
    torch.testing.assert_close(map_, torch.stack([room.contributions(scorer, eye.image, s) for s in starts]).mean(0))
