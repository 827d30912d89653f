import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xaibench.data.case import Case
from xaibench.data.regions import REGIONS, busiest_window, spread, superpixels
from xaibench.errors import UserError

regions = pytest.mark.parametrize("regions", REGIONS)


@regions
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), segments=st.integers(1, 60), side=st.integers(1, 20), constant=st.booleans())
def test_every_label_is_in_the_field_of_view_and_none_is_left_out(
    regions: str, seed: int, segments: int, side: int, constant: bool
) -> None:
    """Also of a constant image, and of a field of view of fewer pixels than segments."""
    rng = np.random.default_rng(seed)
    fov = np.zeros((24, 31), bool)
    fov[2 : 2 + side, 5 : 5 + int(rng.integers(1, 26))] = True
    image = torch.full((3, 24, 31), 0.5) if constant else torch.from_numpy(rng.random((3, 24, 31), np.float32))
    labels = superpixels(image, torch.from_numpy(fov), segments, regions)
    assert labels.shape == fov.shape and labels.dtype == np.int64
    inside = np.unique(labels[fov])
    np.testing.assert_array_equal(inside, np.arange(len(inside)))
    assert set(np.unique(labels)) == set(inside) and len(inside) <= fov.sum()
    if regions == "slic":
        assert len(inside) >= min(segments, fov.sum()) / 2  # also of pure noise
    else:
        assert len(inside) <= 4 * segments + 4  # a small field of view, or a narrow one, lies across many squares


@regions
def test_outside_it_is_the_nearest_region(regions: str, eye: Case) -> None:
    labels, fov = superpixels(eye.image, eye.fov, 20, regions), eye.fov.numpy()
    inside = np.argwhere(fov)
    for y, x in np.argwhere(~fov)[::97]:
        distance = np.hypot(*(inside - [y, x]).T)
        nearest = inside[np.isclose(distance, distance.min())]
        assert labels[y, x] in labels[tuple(nearest.T)]


@regions
@pytest.mark.parametrize("segments", [10, 30, 100])
def test_about_as_many_as_were_asked_for(regions: str, segments: int, eye: Case) -> None:
    assert 0.7 * segments <= superpixels(eye.image, eye.fov, segments, regions).max() + 1 <= 1.4 * segments


def test_superpixels_follow_vessels_and_tiles_do_not(eye: Case) -> None:
    def within(regions: str) -> float:
        """Variance of green within the regions as a share of the whole variance."""
        labels = superpixels(eye.image, eye.fov, 60, regions)[eye.fov.numpy()]
        green = eye.image[1][eye.fov].numpy()
        return float(sum(green[labels == i].var() * (labels == i).mean() for i in np.unique(labels)) / green.var())

    assert within("slic") < 0.6 * within("tiles")


def test_tiles_are_squares_without_slivers(eye: Case) -> None:
    labels, fov = superpixels(eye.image, eye.fov, 25, "tiles"), eye.fov.numpy()
    side = round(float(np.sqrt(fov.sum() / 25)))
    assert np.bincount(labels[fov]).min() >= side**2 / 4
    middle = np.argwhere(labels == labels[30, 34])
    np.testing.assert_array_equal(np.ptp(middle, axis=0), [side - 1, side - 1])
    assert len(middle) == side**2


@pytest.mark.parametrize(("arguments", "told"), [((0,), "segments=0"), ((5, "hexagons"), "'hexagons'.* slic, tiles")])
def test_wrong_values_are_named(arguments: tuple[int, str], told: str, eye: Case) -> None:
    with pytest.raises(UserError, match=told):
        superpixels(eye.image, eye.fov, *arguments)


@regions
def test_a_map_sums_to_the_values_and_is_even_within_a_region(regions: str, eye: Case) -> None:
    labels = superpixels(eye.image, eye.fov, 12, regions)
    values = np.random.default_rng(0).normal(size=labels.max() + 1)
    map_ = spread(values, labels, eye.fov)
    assert map_.dtype == torch.float32 and map_[~eye.fov].abs().max() == 0
    for i, value in enumerate(values):
        region = map_[torch.from_numpy(labels == i) & eye.fov]
        assert float(region.double().sum()) == pytest.approx(value, rel=1e-5)
        assert region.min() == region.max()


def test_the_busiest_window_has_the_largest_sum_and_is_the_first_of_several() -> None:
    mask = np.random.default_rng(3).random((13, 17)) < 0.2
    sums = {(i, j): int(mask[i : i + 5, j : j + 5].sum()) for i in range(9) for j in range(13)}
    row, column = max(sums, key=lambda place: sums[place])  # max keeps the first of several
    assert busiest_window(mask, 5) == (slice(row, row + 5), slice(column, column + 5))
    assert busiest_window(mask[:5, :5], 5) == (slice(0, 5), slice(0, 5))
