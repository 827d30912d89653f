import numpy as np
import pytest
import torch
from made_up import GreenFilter, make_network, noise, target_on
from nets import Function
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.weights_file import weights_digest
from xaibench.scorer import Scorer
from xaibench.scorer import batching as room
from xaibench.scorer.batching import FORMATS, Engine


def images_like(case: Case, count: int) -> Tensor:
    return (case.image + 0.2 * noise(count, *case.image.shape, seed=count)).clamp(0, 1)


def test_the_score_is_the_mean_logit_over_the_target(network: VesselUNet, eye: Case, scorer: Scorer) -> None:
    images = images_like(eye, 3)
    with torch.no_grad():
        inside = network(images)[:, 0, eye.vessels].double().numpy()
    np.testing.assert_allclose(scorer(images), inside.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(scorer.probability(images), (1 / (1 + np.exp(-inside))).mean(1), rtol=1e-5)
    assert scorer(images).shape == (3,)


def test_only_pixels_of_the_target_inside_the_field_of_view_count(eye: Case, linear: Scorer) -> None:
    both = Scorer(GreenFilter(), target_on(eye, eye.vessels | ~eye.fov))
    image = torch.where(eye.fov, eye.image, torch.ones(()))[None]
    assert torch.equal(linear(image), both(image))


@pytest.mark.parametrize("method", ["__call__", "probability"])
@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 5, 32])
def test_any_engine_gives_the_same_up_to_rounding(
    network: VesselUNet, eye: Case, method: str, memory_format: str, micro_batch: int
) -> None:
    images = images_like(eye, 5)
    one = Scorer(network, target_on(eye), engine=Engine())
    many = Scorer(network, target_on(eye), engine=Engine(micro_batch, memory_format))
    single = torch.cat([getattr(one, method)(image[None]) for image in images])
    torch.testing.assert_close(getattr(many, method)(images), single, rtol=1e-5, atol=1e-6)
    assert many.passes == one.passes == 5
    assert len(single.unique()) == 5  # a score of another image would be noticed


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11])
@pytest.mark.parametrize("method", ["__call__", "probability"])
def test_with_the_measured_engine_a_batch_is_its_images_one_by_one_bit_for_bit(
    network: VesselUNet, eye: Case, method: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_engines", {})
    monkeypatch.setattr(room, "_stored", lambda key: None)
    monkeypatch.setattr(room, "_seconds", lambda model, engine, images: 1.0)  # the larger the better
    scorer, images = Scorer(network, target_on(eye)), images_like(eye, count)
    together = getattr(scorer, method)(images)
    assert scorer.engine is not None
    assert torch.equal(together, torch.cat([getattr(scorer, method)(image[None]) for image in images]))


def test_the_rest_of_a_batch_is_computed_as_single_images_are(eye: Case) -> None:
    # One whose kernel for two or three images rounds differently, as real ones do.
    rounding = Function(lambda _, images: images[:, 1:2] + 1e-3 * (len(images) in (2, 3)))
    images = images_like(eye, 11)
    one, four = (Scorer(rounding, target_on(eye), engine=Engine(n)) for n in (1, 4))
    assert torch.equal(one(images), four(images))


def test_the_layout_of_the_images_does_not_matter(eye: Case, scorer: Scorer) -> None:
    images = images_like(eye, 2)
    assert torch.equal(scorer(images), scorer(images.to(memory_format=torch.channels_last)))


def test_passes_are_counted_in_images(eye: Case, scorer: Scorer) -> None:
    images = images_like(eye, 3)
    scorer(images)
    assert scorer.passes == 3  # what finding the engine cost is not among them
    scorer.probability(images[:2])
    assert scorer.passes == 5
    scorer.logits(images[:1])
    assert scorer.passes == 6
    scorer(images.clone().requires_grad_())
    assert scorer.passes == 9


def test_gradients_flow_to_the_images_and_leave_the_weights_alone(eye: Case, scorer: Scorer) -> None:
    images = images_like(eye, 2).requires_grad_()
    scores = scorer(images)
    (gradient,) = torch.autograd.grad(scores[0], images)
    assert (gradient[0] != 0).any() and (gradient[1] == 0).all()
    assert all(p.grad is None for p in scorer.model.parameters())
    torch.testing.assert_close(scores.detach(), scorer(images.detach()), rtol=1e-5, atol=1e-6)


def test_the_gradient_of_a_white_box_is_known(eye: Case, linear: Scorer) -> None:
    """Score = mean over S of gain × (level − green): −gain / |S| on green inside S, nothing anywhere else."""
    images = eye.image[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(linear(images).sum(), images)
    expected = torch.zeros_like(eye.image)
    expected[1, eye.vessels] = -20.0 / int(eye.vessels.sum())
    torch.testing.assert_close(gradient[0], expected)


def test_a_hook_can_ask_for_the_gradient_of_a_layer(eye: Case) -> None:
    """The image itself asks for none."""
    network, seen, image = make_network(), list[Tensor](), eye.image[None]
    scorer = Scorer(network, target_on(eye), engine=Engine())
    before = scorer(image)
    layer = next(m for m in network.modules() if isinstance(m, nn.Conv2d))
    with layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output)):
        score = scorer(image)
        (gradient,) = torch.autograd.grad(score.sum(), seen[0])
        assert gradient.abs().sum() > 0 and torch.allclose(score, before, atol=1e-4)
        with torch.no_grad():
            scorer(image)
    assert not seen[1].requires_grad and not seen[1].is_inference()
    assert torch.equal(scorer(image), before) and len(seen) == 2


def test_without_a_gradient_asked_for_none_is_kept(eye: Case, scorer: Scorer) -> None:
    for score in (scorer(images_like(eye, 1)), scorer.probability(images_like(eye, 1).requires_grad_())):
        assert not score.requires_grad and not score.is_inference()
    with torch.no_grad():
        assert not scorer(images_like(eye, 1).requires_grad_()).requires_grad


@pytest.mark.parametrize("method", ["__call__", "probability", "logits"])
def test_a_network_in_training_is_left_in_training_and_learns_nothing(eye: Case, method: str) -> None:
    model = make_network()
    expected = getattr(Scorer(model, target_on(eye)), method)(eye.image[None])
    model.train()
    frozen = model.net.model[0].train(False)  # a part that its owner keeps in evaluation mode
    modes, digest = [m.training for m in model.modules()], weights_digest(model)
    assert torch.equal(getattr(Scorer(model, target_on(eye)), method)(eye.image[None]), expected)
    assert [m.training for m in model.modules()] == modes and not frozen.training
    assert weights_digest(model) == digest


@pytest.mark.parametrize("shape", [(3, 61, 70), (1, 1, 61, 70), (1, 3, 70, 61), (2, 3, 64, 64), (61, 70)])
@pytest.mark.parametrize("method", ["__call__", "probability", "logits"])
def test_images_of_another_shape_are_refused(scorer: Scorer, shape: tuple[int, ...], method: str) -> None:
    with pytest.raises(UserError, match="for a target of 61 × 70 px") as caught:
        getattr(scorer, method)(torch.zeros(shape))
    assert str(shape) in caught.value.message and caught.value.hint == "Give (N, 3, 61, 70)."
    assert scorer.passes == 0
