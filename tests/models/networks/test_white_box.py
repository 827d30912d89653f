"""The closed form of each white box against brute force, and that it finds the vessels it should."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up import chance, noise
from scipy.special import comb
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.errors import Skipped, UserError
from xaibench.models.evaluate import predict
from xaibench.models.layers import named_layers
from xaibench.models.networks.white_box import ORIENTATIONS, SEGMENTERS, WhiteBox, line_kernels, white_box

HEIGHT, WIDTH = 19, 22  # more than one node of the bottleneck, and no multiple of its stride
every = pytest.mark.parametrize("name", SEGMENTERS)


def picture(seed: int) -> Tensor:
    return noise(3, HEIGHT, WIDTH, seed=seed).double()


def small(name: str) -> WhiteBox:
    """A white box of 19 × 22 px; the free pixels of the brute force are partly read and partly marker."""
    background = picture(1)
    read = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    if name == "thick":
        read[9, 10:12] = False
    if name != "marker":
        return WhiteBox(background, read).double()
    marker = torch.zeros_like(read)
    marker[8:11, 12:15] = True
    return WhiteBox(background, read & ~marker, marker, contrast=0.7).double()


FREE = [(row, column) for row in (9, 10) for column in range(9, 14)]  # 2 × 5 px
TARGET = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
TARGET[7:12, 3:11] = TARGET[15, 18] = True


def score(box: nn.Module, images: Tensor) -> Tensor:
    """(N,) mean logit over the target."""
    return box(images)[:, 0, TARGET].mean(1)  # type: ignore[no-any-return]


@every
def test_the_closed_form_is_the_shapley_value_over_all_coalitions(name: str) -> None:
    box, image, other = small(name), picture(2), picture(3)
    rows, columns = zip(*FREE, strict=True)
    reference = image.clone()
    reference[:, rows, columns] = other[:, rows, columns]
    coalitions = np.array(list(itertools.product([False, True], repeat=len(FREE))))  # (coalitions, players)
    pictures = image.repeat(len(coalitions), 1, 1, 1)
    players = torch.from_numpy(coalitions)[:, None]
    pictures[:, :, rows, columns] = torch.where(players, image[:, rows, columns], reference[:, rows, columns])
    values, size = score(box, pictures).numpy(), coalitions.sum(1)
    expected = np.zeros((HEIGHT, WIDTH))
    for joined, pixel in zip(coalitions.T, FREE, strict=True):
        # The rows with the player follow each other as those without it do, equal in all other players.
        weight = 1 / (len(FREE) * comb(len(FREE) - 1, size[~joined]))
        expected[pixel] = (weight * (values[joined] - values[~joined])).sum()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(box.exact(image, reference, TARGET).numpy(), expected, rtol=1e-9, atol=1e-9)


@every
def test_the_closed_form_is_what_integrated_gradients_converge_to(name: str) -> None:
    box, image, reference = small(name), picture(4), picture(5)
    total, steps = torch.zeros_like(image), 50
    for step in range(steps):
        point = (reference + (step + 0.5) / steps * (image - reference)).requires_grad_()
        (gradient,) = torch.autograd.grad(score(box, point[None]).sum(), point)
        total += gradient * (image - reference) / steps
    exact = box.exact(image, reference, TARGET)
    np.testing.assert_allclose(exact.numpy(), total.sum(0).numpy(), rtol=1e-8, atol=1e-9)
    before, after = score(box, torch.stack([reference, image])).tolist()
    assert float(exact.sum()) == pytest.approx(after - before)


@every
def test_what_is_not_read_has_no_influence_and_the_rest_has(name: str) -> None:
    box, image = small(name), picture(6)
    assert torch.equal(box(image[None]), box(torch.where(box.reads, image, picture(7))[None]))
    leaf = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(box(leaf[None])[0, 0, 5:, 5:].square().sum(), leaf)
    assert torch.equal(gradient.abs().sum(0)[8:12, 8:16] > 0, box.reads[8:12, 8:16])
    assert bool(box.reads.all()) == (name != "thick")


def test_without_its_marker_the_segmenter_sees_nothing() -> None:
    case = draw_phantom(1, (160, 160))
    box, shown = white_box("marker", case)
    assert predict(box, shown.image)[case.fov].max() > 0.9
    ground = torch.where(box.marker > 0, box.background, shown.image)  # type: ignore[operator]
    assert predict(box, ground)[case.fov].max() < 0.2
    painted = (shown.image != case.image).any(0)
    assert torch.equal(painted & box.reads, painted) and not (painted & case.vessels).any()
    assert (painted & ~case.fov).sum() == 0 and 5 <= int(painted.sum()) <= 13


def test_a_marker_on_a_white_ground_is_dark(eye: Case) -> None:
    white = replace(eye, image=torch.where(eye.fov, 0.97, 0.0).expand(3, -1, -1).contiguous())
    box, shown = white_box("marker", white)
    assert shown.image[:, box.marker > 0].max() < 0.1  # type: ignore[operator]
    factor = box._excess(shown.image[None])[0, 0].double() * box._marker_weights()
    assert float(factor.sum()) == pytest.approx(1, abs=0.05)


def test_on_a_whole_phantom_it_ranks_pixels_as_a_vessel_filter_does() -> None:
    case = draw_phantom(1)
    fov = case.fov.numpy()
    for name in ("linear", "marker"):
        box, shown = white_box(name, case)
        assert roc_auc_score(case.vessels.numpy()[fov], predict(box, shown.image).numpy()[fov]) > 0.85


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_phantoms_it_finds_the_vessels_it_should(seed: int) -> None:
    case = draw_phantom(seed, (192, 192))
    fov, vessels, thin, thick = (getattr(case, n).numpy() for n in ("fov", "vessels", "thin", "thick"))
    for name in ("linear", "marker"):
        box, shown = white_box(name, case)
        found = predict(box, shown.image).numpy() >= 0.5
        assert found[vessels].mean() > 4 * found[fov & ~vessels].mean() > 0
    box, shown = white_box("thick", case)
    found = predict(box, shown.image).numpy() >= 0.5
    assert found[thick].mean() > 0.1 and found[thin].mean() < 0.01 and found[fov & ~vessels].mean() < 0.01
    changed = torch.where(case.thin, 1.0, case.image)
    assert torch.equal(predict(box, changed), predict(box, case.image))
    reference = reference_image("blur", case.image, case.fov, case.scale)
    assert not box.exact(changed, reference, case.thick)[case.thin].any()


@every
def test_it_names_its_layers_draws_no_chance_and_trains_nothing(name: str, eye: Case) -> None:
    before = chance()
    box, shown = white_box(name, eye)
    again, _ = white_box(name, eye)
    assert chance() == before and not box.training
    assert not any(p.requires_grad for p in box.parameters())
    assert torch.equal(box(shown.image[None]), again(shown.image[None]))
    assert {"bottleneck", "last"} <= set(named_layers(box, shown.image))
    coarse = box.coarse(torch.zeros(1, box.coarse.in_channels, 61, 70))
    assert coarse.shape[1:] == (ORIENTATIONS + (name == "marker"), 8, 9)


def test_a_kernel_answers_most_to_a_line_of_its_own_direction() -> None:
    for width in (1.0, 2.0):
        kernels = line_kernels(width)
        answers = torch.einsum("kij,lij->kl", kernels, kernels)
        assert torch.equal(answers.argmax(1), torch.arange(ORIENTATIONS))
        torch.testing.assert_close(kernels.clamp(min=0).sum((1, 2)), torch.ones(ORIENTATIONS))


def test_unknown_segmenters_and_cases_without_thick_vessels_are_refused(eye: Case) -> None:
    with pytest.raises(UserError, match="no segmenter called 'lineal'"):
        white_box("lineal", eye)
    with pytest.raises(Skipped, match="case eye has no thick vessel pixels"):
        white_box("thick", replace(eye, caliber=eye.vessels.float()))
    box, shown = white_box("marker", replace(eye, vessels=eye.fov))  # there is nowhere else to put it
    assert (shown.image != eye.image).any() and torch.isfinite(box(shown.image[None])).all()
