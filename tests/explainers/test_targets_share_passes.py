"""What several targets of one picture share: passes, and nothing of the maps."""

import pytest
import torch
from made_up import cheap, make_network

from xaibench import registry
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.explainers.explain import explain
from xaibench.scorer import Scorer, Target, target
from xaibench.scorer.batching import Engine

NAMES = [n for n in registry.names("explainer") if not registry.get("explainer", n).traits.control]
# Their pictures do not depend on the target, so that a second one costs nothing but what makes them.
FREE = {"feature-ablation": 0, "kernel-shap": 0, "lime": 0, "occlusion": 0, "rise": 0, "shapley-sampling": 0}
FREE |= {"scorecam": 1, "ablationcam": 1}


def halves(case: Case) -> tuple[Target, Target]:
    """Two targets of the same picture."""
    left = torch.arange(case.fov.shape[1]) < case.fov.shape[1] // 2
    vessels = case.vessels.float()
    return (
        Target("left", case.vessels & left, case.fov, vessels, case.scale),
        Target("right", case.vessels & ~left, case.fov, vessels, case.scale),
    )


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_bit_for_bit_those_of_scorers_that_share_nothing(name: str, eye: Case) -> None:
    network, spec = make_network().eval(), cheap(registry.get("explainer", name))
    engine = Engine(micro_batch=2)
    alone = [Scorer(network, t, engine=engine) for t in halves(eye)]
    first = Scorer(network, halves(eye)[0], engine=engine)
    shared = [first, first.for_target(halves(eye)[1])]
    maps = [[explain(s, eye.image, method=spec, seed=3, case=eye) for s in pair] for pair in (alone, shared)]
    for a, b in zip(*maps, strict=True):
        assert torch.equal(a, b)
    assert shared[0].passes == alone[0].passes
    assert shared[1].passes <= FREE.get(name, alone[1].passes)


@pytest.mark.parametrize("name", ["partition-shap[samples=60]", "occlusion[patch=48,stride=48]"])
def test_where_crops_are_taken_too(name: str) -> None:
    """A crop that another target had scored is missing from the company of those that are left."""
    case, network = draw_phantom(1, (300, 320)), registry.get("model", "unet-phantom")()
    alone = Scorer(network, halves(case)[1])
    first = Scorer(network, halves(case)[0])
    second = first.for_target(halves(case)[1])
    maps = [explain(s, case.image, method=name, seed=3, case=case) for s in (alone, first, second)]
    assert torch.equal(maps[0], maps[2]) and not torch.equal(maps[0], maps[1])
    assert second.passes < alone.passes


@pytest.mark.parametrize(
    "name", ["feature-ablation", "occlusion[patch=48,stride=48]", "kernel-shap[samples=80,segments=12]"]
)
def test_crops_and_whole_pictures_give_the_same_map(name: str) -> None:
    """At a size at which crops are taken; the Shapley values are those of another game by the rounding of scores."""
    case = draw_phantom(1, (300, 320))
    network = registry.get("model", "unet-phantom")()
    asked = target("vessels", network, case)
    maps = [explain(Scorer(network, asked, local=local), case.image, method=name, seed=0) for local in (True, False)]
    assert (maps[0] - maps[1]).abs().max() <= 1e-5 * max(float(maps[1].abs().max()), 1e-2)
    sums = [float(m.abs().sum()) for m in maps]
    assert sums[0] == pytest.approx(sums[1], rel=1e-3) and sums[0] > 0
