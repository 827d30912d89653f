"""Images that differ from one image in a box: crops give what full passes give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import Function, Recorded, make
from torch import Tensor, nn

from xaibench.models.model_loader import load_model
from xaibench.models.networks.shortcut_network import load_shortcut
from xaibench.scorer.batching import Engine
from xaibench.scorer.inference import Inference
from xaibench.scorer.local_forward import Box, LocalForward, box_of, crop_for, verified_field
from xaibench.scorer.receptive_field import ReceptiveField, receptive_field

SIZE = (300, 331)  # no multiple of any stride


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((3, *size), np.float32))


def local_forward(network: nn.Module, image: Tensor, field: ReceptiveField | None) -> LocalForward:
    """Without folding, which small images do not get."""
    inference = Inference(network, (1, 1), Engine(), lambda images: None)
    return LocalForward(image, lambda: inference, field)


def full(network: nn.Module, image: Tensor, box: Box, content: Tensor) -> Tensor:
    changed = image.clone()
    changed[box.index] = content
    with torch.inference_mode():
        return network(changed[None].contiguous(memory_format=torch.channels_last))


NETWORKS = {name: (lambda name=name: make(name)) for name in ("own", "plain", "pooling")} | {
    name: (lambda name=name: load_model(name)) for name in ("unet-drive", "unet-phantom")
}


@pytest.mark.parametrize("name", NETWORKS)
def test_crops_agree_with_the_whole_wherever_the_place_is(name: str) -> None:
    network, image = NETWORKS[name](), picture(size=(300, 332) if name == "pooling" else SIZE)
    reach = verified_field(network, image)
    assert reach is not None
    recorded = Recorded(network)
    local = local_forward(recorded, image, reach)
    whole = local.logits
    boxes = [Box(0, 0, 9, 7), Box(291, 300, 300, 331), Box(140, 151, 156, 167), Box(0, 320, 3, 331), Box(33, 5, 34, 6)]
    for i, box in enumerate(boxes):
        content = picture(1 + i, tuple(image.shape[1:]))[box.index]
        assert local.crop_for(box) is not None
        changed = local.changed(box, content)
        wanted = full(network, image, box, content)
        assert (changed - wanted).abs().max() <= 1e-5 * max(1, wanted.abs().max())
        assert (changed - whole).abs().max() > 1e-3
    shapes = recorded.shapes
    assert len(shapes) == 1 + len(boxes) and all(h * w < 0.6 * 300 * 331 for _, _, h, w in shapes[1:])
    assert torch.equal(local.image, image) and torch.equal(local.logits, whole)


@pytest.mark.parametrize("name", ["smooth", "attention-unet", "segresnet"])
def test_networks_that_see_the_whole_picture_are_given_it(name: str) -> None:
    network, image, box = make(name), picture(), Box(100, 100, 110, 120)
    assert verified_field(network, image) is None
    with torch.inference_mode():
        local = local_forward(network, image, None)
        for seed in (1, 2):  # the second picture holds nothing of the first
            content = picture(seed)[box.index]
            torch.testing.assert_close(local.changed(box, content), full(network, image, box, content))
    assert local.crop_for(box) is None


def test_a_network_that_is_not_what_it_seemed_on_small_pictures_is_not_trusted() -> None:
    # Local up to 330 px, and not beyond.
    network = Function(lambda _, images: images[:, 1:2] - (images.mean() if images.shape[-1] > 330 else 0))
    assert receptive_field(network, torch.device("cpu")) is not None
    assert verified_field(network, picture()) is None


def test_enlarging_by_no_whole_number_is_not_local() -> None:
    """Of 331 columns 165 are left by pooling: enlarged again, no place is a whole number of steps from another."""
    assert verified_field(make("pooling"), picture()) is None


def test_small_pictures_and_wide_reaches_are_not_cropped() -> None:
    assert verified_field(load_model("unet-phantom"), picture(size=(255, 400))) is None
    assert verified_field(load_shortcut(), picture()) is None


@settings(max_examples=200, deadline=None)
@given(
    *(st.integers(0, 299) for _ in range(4)),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from([1, 2, 4, 8, 16]),
)
def test_the_crop_holds_all_that_is_felt_and_all_that_it_depends_on(
    y0: int, y1: int, x0: int, x1: int, before: int, after: int, step: int
) -> None:
    box = Box(min(y0, y1), min(x0, x1), max(y0, y1) + 1, max(x0, x1) + 1)
    found = crop_for(box, ReceptiveField(before, after, step), (300, 300))
    if found is None:
        grown = [(b - a + 2 * (before + after) + 2 * step) for a, b in ((box.top, box.bottom), (box.left, box.right))]
        assert min(grown[0], 300) * min(grown[1], 300) > 0.6 * 300 * 300
        return
    felt, crop = found.affected, found.crop
    for low, high, first, last, start, end in (
        (box.top, box.bottom, felt.top, felt.bottom, crop.top, crop.bottom),
        (box.left, box.right, felt.left, felt.right, crop.left, crop.right),
    ):
        assert first == max(low - before, 0) and last == min(high + after, 300)
        assert start % step == 0 and 0 <= start <= max(first - after, 0) and min(last + before, 300) <= end <= 300
        assert (end - start) % step == 0 or end == 300


def test_the_box_of_a_mask() -> None:
    mask = torch.zeros(9, 12, dtype=torch.bool)
    assert box_of(mask) is None
    mask[3, 4] = mask[5, 10] = True
    assert box_of(mask) == Box(3, 4, 6, 11)
    assert mask[box_of(mask).index].sum() == 2


# Sees by a hair more in crops that come together, as kernels for several pictures may.
COMPANY = Function(lambda _, images: images[:, 1:2] * (1 + 1e-6 * (len(images) > 1)))


@pytest.mark.parametrize(("network", "together"), [(COMPANY, False), (nn.AvgPool3d((3, 1, 1)), True)])
def test_crops_go_together_only_where_that_changes_no_bit(network: nn.Module, together: bool) -> None:
    image, recorded = picture(), Recorded(network)
    changes = [(Box(y, 40, y + 8, 48), picture(y, (8, 8))) for y in (40, 80, 120, 160)]
    local = local_forward(recorded, image, ReceptiveField(1, 1, 1))
    list(local.changed_each(changes))  # the trial of a new batch size comes first
    recorded.shapes.clear()
    found = list(local.changed_each(changes))
    assert [shape[0] for shape in recorded.shapes] == ([4] if together else [1] * 4)
    for (box, content), logits in zip(changes, found, strict=True):
        assert torch.equal(logits, local.changed(box, content))
