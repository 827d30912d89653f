import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from made_up import GreenFilter, rng
from scipy.stats import spearmanr
from torch import Tensor

from xaibench.conformance.metric_subjects import method
from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.metrics.robustness.randomisation import mprt, randomised
from xaibench.metrics.robustness.sensitivity import max_sensitivity, spearman, target_sensitivity
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.weights_file import weights_digest
from xaibench.scorer import Scorer, target


def picture(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Shows the picture, whatever the network."""
    return image[1]


def test_spearman() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.integers(0, 9, 50), draw.integers(0, 9, 50)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman(a, np.zeros(50)) == 0 and spearman(np.ones(50), np.zeros(50)) == 1


def test_a_map_of_the_picture_moves_as_the_picture_does(scorer: Scorer, eye: Case) -> None:
    """The largest of the draws' relative changes, computed by hand."""
    found = max_sensitivity(eye.image[1].numpy(), eye, scorer, rng=rng(), method=method(picture), draws=4).value
    draw, changes = rng(), []
    for _ in range(4):
        noise = torch.from_numpy(draw.uniform(-0.02, 0.02, (1, *eye.image.shape)).astype(np.float32))
        noisy = torch.where(eye.fov, (eye.image + noise[0]).clamp(0, 1), eye.image)
        changes.append(float((noisy[1] - eye.image[1]).norm() / eye.image[1].norm()))
    assert found == pytest.approx(max(changes), rel=1e-5) and 0.005 < found < 0.05


@pytest.mark.parametrize("given", [{"draws": 0}, {"radius": 0.0}])
def test_values_that_make_no_sense_are_named(given: dict[str, float], scorer: Scorer, eye: Case) -> None:
    with pytest.raises(UserError, match=next(iter(given))):
        max_sensitivity(np.zeros(eye.fov.shape), eye, scorer, rng=rng(), method=method(picture), **given)


def test_what_lies_outside_the_field_of_view_does_not_count(scorer: Scorer, eye: Case) -> None:
    def noisy(scorer: Scorer, image: torch.Tensor, *, rng: np.random.Generator) -> torch.Tensor:
        return torch.where(eye.fov, 1.0, image[1] + torch.rand(image.shape[1:]))

    assert not eye.fov.all()
    assert max_sensitivity(np.zeros(eye.fov.shape), eye, scorer, rng=rng(), method=method(noisy), draws=2).value == 0


def test_a_method_that_ignores_the_question_has_no_target_sensitivity(eye: Case) -> None:
    network = GreenFilter(0.4, 8.0)  # finds the eye's thin and thick vessels
    scorer = Scorer(network, target("vessels", network, eye))

    def mask(scorer: Scorer, image: Tensor, *, rng: np.random.Generator) -> Tensor:
        return scorer.target.mask.float()

    def score(by: object) -> float:
        return float(target_sensitivity(np.zeros(1), eye, scorer, rng=rng(), method=method(by)).value)  # type: ignore[arg-type]

    assert score(picture) == 0
    assert score(mask) > 1  # the two masks exclude each other


def test_layers_are_randomised_from_the_top_and_stay_so(network: VesselUNet, eye: Case) -> None:
    before, digest = copy.deepcopy(network.state_dict()), weights_digest(network)
    stages = randomised(network, eye.image, 4, seed=1)
    assert len(stages) == 4 and weights_digest(network) == digest
    changed = [
        {name for name, value in stage.state_dict().items() if not torch.equal(value, before[name])} for stage in stages
    ]
    for few, more in pairwise(changed):
        assert few < more
    first, last = "net.model.0.conv.unit0.conv.weight", "head.weight"
    assert last in changed[0] and first not in changed[2] and first in changed[3]
    again = randomised(network, eye.image, 4, seed=1)
    assert [weights_digest(a) for a in again] == [weights_digest(s) for s in stages]
    assert not any(m.training for stage in stages for m in stage.modules())


def test_a_map_of_the_picture_fails_the_gate_and_a_gradient_passes_it(scorer: Scorer, eye: Case) -> None:
    values = {
        by: mprt(np.zeros(1), eye, scorer, rng=rng(), method=method(by), stages=3).value  # type: ignore[arg-type]
        for by in (picture, "input-x-gradient")
    }
    gate = mprt.traits.gate
    assert values[picture] == pytest.approx(1) and values[picture] > gate > values["input-x-gradient"]


def test_the_smooth_variant_takes_means_over_noisy_pictures(scorer: Scorer, eye: Case) -> None:
    plain, smooth = (
        mprt(np.zeros(1), eye, scorer, rng=rng(), method=method(picture), stages=2, draws=n) for n in (1, 3)
    )
    assert smooth.value == pytest.approx(1) and plain.curve is not None and len(plain.curve[0]) == 2
