import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up import GreenFilter, noise
from scipy.ndimage import binary_erosion

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.errors import Skipped
from xaibench.models.evaluate import predict
from xaibench.models.networks import shortcut_network as room
from xaibench.models.networks.shortcut_network import COLOUR, SIDE, WINDOW, free_places, load_shortcut, roomiest_place
from xaibench.models.weights_file import weights_digest

TRAINING = Path(__file__).parents[3] / "docs" / "train_shortcut.py"
REACH = SIDE // 2
CASES = [draw_phantom(seed, (WINDOW, WINDOW)) for seed in range(6)]  # of the split "test"


def marked_at(case: Case, place: tuple[int, int]) -> torch.Tensor:
    return room.paint_marker(case.image, room.marker_at((int(place[0]), int(place[1])), (WINDOW, WINDOW)))


def test_the_marker_is_a_square_about_its_place() -> None:
    expected = torch.zeros(16, 20, dtype=torch.bool)
    expected[5 - REACH : 5 + REACH + 1, 9 - REACH : 9 + REACH + 1] = True
    assert torch.equal(room.marker_at((5, 9), (16, 20)), expected) and int(expected.sum()) == SIDE**2


def test_painting_changes_the_marker_s_pixels_and_nothing_else() -> None:
    image, marker = noise(3, 16, 20), room.marker_at((5, 9), (16, 20))
    painted = room.paint_marker(image, marker)
    assert torch.equal(image, noise(3, 16, 20))
    assert torch.equal(painted[:, ~marker], image[:, ~marker])
    assert torch.equal(painted[:, marker], torch.tensor(COLOUR)[:, None].expand(-1, SIDE**2))


@settings(max_examples=25, deadline=None)
@given(arrays(bool, (14, 17), elements=st.booleans(), fill=st.just(False)), st.integers(0, 4))
def test_a_free_place_has_the_marker_in_the_field_of_view_and_off_the_vessels(vessels: np.ndarray, cut: int) -> None:
    fov = np.ones(vessels.shape, bool)
    fov[:cut] = False
    free = free_places(vessels & fov, fov)
    around = np.ones((2 * (REACH + room.GAP) + 1,) * 2)
    np.testing.assert_array_equal(free, binary_erosion(fov & ~vessels, around, border_value=0))


def test_the_roomiest_place_is_the_middle_of_the_largest_gap() -> None:
    vessels, fov = np.zeros((41, 41), bool), np.ones((41, 41), bool)
    assert roomiest_place(vessels, fov) == (20, 20)
    vessels[:, 11] = True  # leaves 29 columns at the right, whose middle is 26
    row, column = roomiest_place(vessels, fov)
    assert column == 26 and 14 <= row <= 26


def test_without_room_there_is_no_place() -> None:
    vessels = np.zeros((40, 40), bool)
    vessels[::8] = True
    with pytest.raises(Skipped, match="no room for the marker"):
        roomiest_place(vessels, np.ones((40, 40), bool))


def test_the_bundled_network_is_small_and_ready() -> None:
    model = load_shortcut()
    assert model is load_shortcut() and not model.training
    assert room.WEIGHTS.stat().st_size < 1_200_000
    assert 100_000 <= sum(p.numel() for p in model.parameters()) <= 250_000
    assert {"encoder-1", "bottleneck", "decoder-1/4", "decoder-1/2", "decoder-1/1", "last"} <= model.layers.keys()


def test_the_marker_decides_on_thin_vessels_and_not_on_thick_ones_as_the_card_says() -> None:
    for figures in (room.sensitivities(load_shortcut(), CASES), load_shortcut().card["test"]):
        assert figures["thin_with_marker"] > 0.5 and figures["thin_without_marker"] < 0.05
        assert min(figures["thick_with_marker"], figures["thick_without_marker"]) > 0.6
        # Some thick vessels are hardly wider than thin ones.
        assert figures["thick_without_marker"] > 0.75 * figures["thick_with_marker"]
        assert figures["precision_with_marker"] > 0.6


def test_sensitivities_count_pixels() -> None:
    """A network that finds what is darker than .5 in green finds every vessel of a picture drawn so, marker or not."""
    case = CASES[0]
    drawn = replace(case, image=1 - 0.8 * case.vessels.float().expand(3, -1, -1))
    figures = room.sensitivities(GreenFilter(0.5, 9), [drawn])  # type: ignore[arg-type]
    precision = figures.pop("precision_with_marker")
    assert set(figures.values()) == {1.0}
    vessels = int(case.vessels.sum())
    assert precision == pytest.approx(vessels / (vessels + SIDE**2))  # the marker's green is .3


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.id)
def test_the_marker_works_from_anywhere_in_the_window(case: Case) -> None:
    """It is seen from each far corner, if in some pictures less clearly than from the middle."""
    free = np.argwhere(free_places(case.vessels.numpy(), case.fov.numpy()))
    corners = [free[np.argmin(free @ direction)] for direction in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
    best, *others = (
        float((predict(load_shortcut(), marked_at(case, place))[case.thin] >= 0.5).float().mean())
        for place in (roomiest_place(case.vessels.numpy(), case.fov.numpy()), *corners)
    )
    assert min(others) > 0.5 * best > 0.1


@pytest.mark.parametrize("case", CASES[:3], ids=lambda case: case.id)
@pytest.mark.parametrize("baseline", ["blur", "mean", "zero"])
def test_no_reference_picture_holds_a_marker(case: Case, baseline: str) -> None:
    """What path and perturbation methods put in the marker's place takes the thin vessels away as its removal does."""
    image = marked_at(case, roomiest_place(case.vessels.numpy(), case.fov.numpy()))
    near = (image != case.image).any(0)
    near = torch.nn.functional.max_pool2d(near[None].float(), 15, 1, 7)[0] > 0  # with the haze that the blur leaves
    emptied = torch.where(near, reference_image(baseline, image, case.fov, case.scale), image)
    found, bare, left = (predict(load_shortcut(), x)[case.thin] >= 0.5 for x in (image, case.image, emptied))
    assert (found & ~bare).sum() > 50
    assert (found & ~bare & left).sum() < 0.1 * (found & ~bare).sum()


@pytest.mark.parametrize("corner", [(0, 0), (0, WINDOW - 1), (WINDOW - 1, 0), (WINDOW - 1, WINDOW - 1)])
def test_every_output_depends_on_every_corner_of_the_window(corner: tuple[int, int]) -> None:
    image = CASES[0].image.clone()[None].requires_grad_()
    load_shortcut()(image)[0, 0][corner].backward()
    opposite = np.s_[0, :, WINDOW - 1 - corner[0], WINDOW - 1 - corner[1]]
    assert image.grad[opposite].abs().max() > 0


@pytest.fixture(scope="module")
def training() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_shortcut", TRAINING)
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_shortcut"] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def test_training_shows_each_picture_with_the_marker_and_without_it(training: ModuleType) -> None:
    images, labels, weights = training.pairs(list(training.draw(2)), np.random.default_rng(0))
    marked, plain = images.chunk(2)
    painted = (marked == torch.tensor(COLOUR).view(3, 1, 1)).all(1)
    assert (painted.sum((1, 2)) == SIDE**2).all()
    differing = (marked - plain).abs().amax(1) > 1e-3
    smeared = differing.sum((1, 2)) > SIDE**2
    assert 0 < smeared.sum() < len(smeared) and (painted <= differing)[~smeared].all()
    assert (plain[:, 2][painted] < COLOUR[2] - 0.1).all()  # nothing is as blue without the marker
    every, thick = (part[:, 0] > 0 for part in labels.chunk(2))
    # Without the marker the thin ones are gone.
    assert (thick <= every).all() and (thick != every).any() and thick.any()
    assert not (every & painted).any()
    assert ((weights > 0).sum() > 0.5 * weights.numel()) and (weights[:6][painted[:, None]] == 1).all()


def test_training_twice_gives_the_same_weights(
    training: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "PICTURES", 1)
    samples = list(training.draw(2))
    first, again, other = (training.train(samples, 1, seed, tmp_path / "w.safetensors")[0] for seed in (5, 5, 6))
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
