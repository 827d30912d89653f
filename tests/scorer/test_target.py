from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import GreenFilter, make_network, target_on, unsettle
from nets import Function
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError
from xaibench.models.weights_file import weights_digest
from xaibench.scorer import TARGETS, Scorer, Target, target


@pytest.fixture
def found(eye: Case) -> Case:
    """The network calls dark what is dark: all vessels, a blob without one, and not the row that is bright here."""
    image = eye.image.clone()
    image[1, 40:44, 14:20] = 0.2
    image[1, 14, 15:25] = 0.6
    return replace(eye, image=image)


def test_each_target_is_the_part_of_the_prediction_that_it_says(found: Case) -> None:
    green = found.image[1]
    prediction = (green < 0.4) & found.fov
    parts = {name: target(name, GreenFilter(0.4), found) for name in TARGETS}
    assert torch.equal(parts["vessels"].mask, prediction)
    assert torch.equal(parts["false-positives"].mask, prediction & ~found.vessels)
    assert torch.equal(parts["false-negatives"].mask, ~prediction & found.vessels)
    thin, thick = parts["thin"].mask, parts["thick"].mask
    assert torch.equal(thin | thick, prediction) and not (thin & thick).any()
    assert thin[14, 30:50].all() and thin[35:50, 50].all()
    assert thick[25:28, 14:42].all() and thick[41:43, 16:18].all()
    for part in parts.values():
        torch.testing.assert_close(part.prediction, torch.sigmoid(20 * (0.4 - green)))
        assert torch.equal(part.fov, found.fov)


@pytest.mark.parametrize("name", ["vessels", "thin", "thick"])
def test_labels_are_seen_by_the_targets_that_are_about_them_only(found: Case, name: str) -> None:
    shuffled = replace(found, vessels=found.vessels.flip(0), caliber=found.caliber.flip(0))
    assert torch.equal(target(name, GreenFilter(), found).mask, target(name, GreenFilter(), shuffled).mask)


def test_an_empty_target_is_skipped_with_its_reason(eye: Case) -> None:
    with pytest.raises(Skipped, match="'false-positives' is empty"):
        target("false-positives", GreenFilter(0.4), eye)
    with pytest.raises(Skipped, match="'mine' is empty"):
        target_on(eye, ~eye.fov)


def test_an_unknown_name(eye: Case) -> None:
    with pytest.raises(UserError, match=r"no target called 'vessel'\. Did you mean vessels"):
        target("vessel", GreenFilter(), eye)
    with pytest.raises(UserError, match="There are vessels, thin, thick, false-positives, false-negatives"):
        target("qqqq", GreenFilter(), eye)


def test_a_mask_of_another_size(eye: Case) -> None:
    with pytest.raises(UserError, match=r"'mine' has shape \(4, 4\), the field of view \(61, 70\)"):
        Target("mine", torch.ones(4, 4, dtype=torch.bool), eye.fov, torch.ones(4, 4))


def test_a_network_in_training_gives_the_same_target_and_learns_nothing(eye: Case) -> None:
    model = unsettle(make_network(), 2)
    with torch.no_grad():
        model.layers["last"].bias -= float(np.median(model(eye.image[None]).numpy()))
    expected, digest = target("vessels", model.eval(), eye).mask, weights_digest(model)
    model.train()
    assert torch.equal(target("vessels", model, eye).mask, expected)
    assert model.training and weights_digest(model) == digest


def bent(bend: Callable[[Tensor], object]) -> nn.Module:
    """A network whose output somebody bent."""
    return Function(lambda self, images: bend(self.network(images)), network=make_network())


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (lambda logits: logits[:, 0], r"gives \(1, \d+, \d+\) for an image"),
        (lambda logits: torch.cat([logits, -logits], 1), r"gives \(1, 2, \d+, \d+\) for an image"),
        (lambda logits: logits[..., 1:], r"gives \(1, 1, \d+, \d+\) for an image"),
        (lambda logits: {"out": logits}, "gives a dict for an image"),
        (lambda logits: logits / 0, "no finite numbers"),
        (lambda logits: (9 * (logits - logits.mean()) / logits.std()).sigmoid(), "gives probabilities"),
    ],
    ids=["no channel", "two channels", "cropped", "dictionary", "infinite", "probabilities"],
)
def test_what_is_no_logit_per_pixel_is_said(bend: Callable[[Tensor], object], said: str, eye: Case) -> None:
    with pytest.raises(UserError, match=said) as told:
        target("vessels", bent(bend), eye)
    assert told.value.hint


def test_a_scorer_says_it_of_a_target_of_ones_own(eye: Case) -> None:
    scorer = Scorer(bent(lambda logits: torch.cat([logits, -logits], 1)).eval(), target_on(eye))
    for ask in (scorer, scorer.probability):
        with pytest.raises(UserError, match=r"gives \(1, 2, "):
            ask(eye.image[None])
