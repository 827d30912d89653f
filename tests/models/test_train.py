import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import chance, draw_eye, noise

from xaibench.data.case import Case, make_case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.errors import UserError
from xaibench.models import train as room
from xaibench.models.evaluate import evaluate, predict
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.networks.vessel_network import VesselNetwork
from xaibench.models.train import Progress, Recipe, segmentation_loss, train
from xaibench.models.weights_file import weights_digest

SMALL = Recipe(steps=6, batch=2, crop=64, holdout=3, validate_every=3, average=0.5, seed=5)


@pytest.fixture(scope="module")
def phantoms() -> list[Case]:
    return [draw_phantom(seed, (128, 128)) for seed in (1000, 1001, 1002)]


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(room.NETWORKS, "unet", lambda **kwargs: VesselUNet(channels=(4, 8, 8, 8, 8), **kwargs))  # type: ignore[arg-type]


def trained(cases: list[Case], **changes: float) -> tuple[VesselNetwork, dict[str, Any]]:
    """What comes of a few steps of the small recipe, with these changes."""
    return train(cases, replace(SMALL, **changes), progress=lambda step, loss, figures: None)  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_weights_bit_for_bit(phantoms: list[Case]) -> None:
    first, facts = trained(phantoms)
    torch.rand(3)
    again, other = trained(phantoms)[0], trained(phantoms, seed=6)[0]
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    assert not any(m.training for m in first.modules())
    assert facts["recipe"]["seed"] == 5 and facts["steps_done"] == 6
    assert facts["training_images"] == 2 and facts["validation_images"] == ["phantom-1002"]


def test_global_chance_is_left_alone(phantoms: list[Case]) -> None:
    before = chance()
    trained(phantoms[:1], steps=1, holdout=0)
    assert chance() == before


def test_the_network_learns_and_the_kept_figures_are_those_of_the_kept_network() -> None:
    eyes = [draw_eye(image_seed=seed, id=str(seed)) for seed in range(3)]
    losses, validations = [], []

    def watch(step: int, loss: float, figures: dict[str, float] | None) -> None:
        assert step == len(losses) + 1
        losses.append(loss)
        if figures is not None:
            validations.append((step, figures["ap"]))

    recipe = replace(SMALL, steps=40, batch=4, crop=32, jitter=0.5, validate_every=15, average=0.8)
    model, facts = train(eyes, recipe, progress=watch)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    assert [step for step, _ in validations] == [15, 30, 40]
    assert facts["validation"]["ap"] == max(ap for _, ap in validations)
    again = evaluate(lambda image: predict(model, image), eyes[2:]).pooled
    assert again["ap"] == pytest.approx(facts["validation"]["ap"], abs=1e-6)
    assert again["auc"] > 0.9


def interrupt_at(last: int) -> Progress:
    def interrupt(step: int, loss: float, figures: dict[str, float] | None) -> None:
        if step == last:
            raise KeyboardInterrupt

    return interrupt


def test_an_interruption_keeps_the_best_so_far_and_passes_where_there_is_none(phantoms: list[Case]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(phantoms, SMALL, progress=interrupt_at(1))
    model, facts = train(phantoms, SMALL, progress=interrupt_at(4))
    assert facts["steps_done"] == 4 and facts["validation"]["step"] == 3
    assert not any(m.training for m in model.modules())
    again = evaluate(lambda image: predict(model, image), phantoms[2:]).pooled
    assert again["ap"] == pytest.approx(facts["validation"]["ap"], abs=1e-6)


def test_held_out_images_are_not_trained_on(phantoms: list[Case]) -> None:
    """Another picture in the held-out place changes nothing of what is learnt."""
    other = [*phantoms[:2], replace(draw_phantom(1003, (128, 128)), id="phantom-1002")]
    assert weights_digest(trained(phantoms, steps=3)[0]) == weights_digest(trained(other, steps=3)[0])


def test_labels_outside_the_field_of_view_teach_nothing(phantoms: list[Case]) -> None:
    case = phantoms[0]
    other = replace(case, vessels=case.vessels | ~case.fov)
    assert len({weights_digest(trained([c], steps=3, holdout=0, jitter=0.0)[0]) for c in (case, other)}) == 1


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 2.0], [-1.0, 5.0]]]])
    vessels = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    fov = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    p = [0.5, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))]
    entropy = -(math.log(p[0]) + math.log(p[1]) + math.log(1 - p[2])) / 3
    dice = (2 * (p[0] + p[1]) + 1) / (sum(p) + 2 + 1)
    assert float(segmentation_loss(logits, vessels, fov, 0.0)) == pytest.approx(entropy, rel=1e-5)
    assert float(segmentation_loss(logits, vessels, fov, 0.7)) == pytest.approx(entropy + 0.7 * (1 - dice), rel=1e-5)


def test_nothing_outside_the_field_of_view_enters_the_loss() -> None:
    logits = (4 * noise(2, 1, 8, 8, seed=0) - 2).requires_grad_()
    vessels, fov = (noise(2, 1, 8, 8, seed=1) < 0.3).float(), (noise(2, 1, 8, 8, seed=2) < 0.6).float()
    loss = segmentation_loss(logits, vessels, fov, 0.5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[fov == 0] == 0).all() and (gradient[fov == 1] != 0).all()
    assert segmentation_loss(logits, torch.where(fov == 1, vessels, 1 - vessels), fov, 0.5) == loss


def test_crops_without_field_of_view_cost_nothing() -> None:
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), 0.2)
    loss.backward()
    assert loss == 0 and logits.grad is not None and (logits.grad == 0).all()


def test_the_constants_of_standardisation_are_those_of_the_training_pixels() -> None:
    case = draw_eye()
    model, _ = trained([case], steps=1, crop=32, holdout=0)
    pixels = case.image[:, case.fov]
    torch.testing.assert_close(model.mean.flatten(), pixels.mean(1), atol=0.02, rtol=0)
    torch.testing.assert_close(model.std.flatten(), pixels.std(1), atol=0.02, rtol=0)


def test_augmentation_moves_image_and_labels_together() -> None:
    """Where green is the label itself, it still is after turning and mirroring."""
    rng = np.random.default_rng(0)
    vessels = rng.random((96, 96)) < 0.2
    image = np.stack([vessels, vessels, vessels]).astype(np.float32)
    case = make_case("code", image, vessels, np.ones((96, 96), bool), scale=1.0)
    images, labels, fov = room._draw([room._sample(case, 32)], Recipe(batch=16, crop=32, jitter=0.0), rng)
    assert images.shape == (16, 3, 32, 32) and labels.shape == fov.shape == (16, 1, 32, 32)
    torch.testing.assert_close(images[:, 1:2].contiguous(), labels)
    assert len({crop.numpy().tobytes() for crop in labels}) == 16


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_jitter_stays_in_the_unit_range(strength: float) -> None:
    image = np.random.default_rng(1).random((3, 16, 16)).astype(np.float32)
    changed = room._jitter(image, strength, np.random.default_rng(2))
    assert changed.dtype == np.float32 and changed.min() >= 0 and changed.max() <= 1
    assert np.array_equal(changed, image) == (strength == 0)


def test_no_cases_and_too_small_images() -> None:
    none_left, too_small = "none is left to train on", "eye is 70 × 61 px, smaller than a crop of 64 px"
    for cases, holdout, told in (([], 3, none_left), ([draw_eye()], 1, none_left), ([draw_eye()], 0, too_small)):
        with pytest.raises(UserError, match=told):
            trained(cases, holdout=holdout)
