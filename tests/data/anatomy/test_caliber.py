"""The caliber of vessels whose width is known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation
from scipy.spatial.distance import cdist
from skimage.morphology import skeletonize

from xaibench.data.anatomy.caliber import caliber_map, fov_scale, is_thin
from xaibench.data.datasets.drive import drive


@pytest.mark.parametrize("width", range(1, 11))
@pytest.mark.parametrize("upright", [False, True])
def test_a_bar(width: int, upright: bool) -> None:
    bar = np.zeros((40, 60), bool)
    bar[12 : 12 + width] = True  # leaves the picture at both sides
    bar = bar.T if upright else bar
    radius = caliber_map(bar)
    assert radius.dtype == np.float32
    # Pixels from the middle of the bar to the first one outside:
    assert set(np.unique(radius[bar])) == {(width + 1) // 2} and not radius[~bar].any()


@settings(max_examples=40, deadline=None)
@given(radius=st.floats(1, 5), angle=st.floats(0, np.pi), offset=st.floats(0, 1))
def test_a_slanting_line_has_its_radius_to_within_a_pixel(radius: float, angle: float, offset: float) -> None:
    y, x = np.mgrid[-40:41, -40:41]
    line = np.abs(y * np.cos(angle) - x * np.sin(angle) - offset) < radius
    inner = np.s_[15:-15, 15:-15]  # the ends, where the line leaves the picture at a slant, are another matter
    assert abs(float(np.median(caliber_map(line)[inner][line[inner]])) - radius) <= 1


def test_thick_and_thin_vessels_side_by_side_keep_their_own_and_no_vessels_have_none() -> None:
    both = np.zeros((60, 60), bool)
    both[10:19], both[40] = True, True
    assert set(np.unique(caliber_map(both)[10:19])) == {5}
    assert set(np.unique(caliber_map(both)[40])) == {1}
    assert not caliber_map(np.zeros((5, 7), bool)).any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 0.1))
def test_each_pixel_has_the_radius_of_a_nearest_skeleton_pixel(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    vessels = np.zeros((48, 48), bool)
    vessels[12:36, 12:36] = binary_dilation(rng.random((24, 24)) < share, iterations=int(rng.integers(1, 4)))
    caliber = caliber_map(vessels)
    inside, outside = np.argwhere(vessels), np.argwhere(~vessels)
    skeleton = np.argwhere(skeletonize(np.pad(vessels, 8))[8:-8, 8:-8])
    if not len(inside):
        return
    radii, away = cdist(skeleton, outside).min(1), cdist(inside, skeleton, "sqeuclidean")
    same = np.isclose(radii, caliber[tuple(inside.T)][:, None], atol=1e-5)
    assert (same & (away == away.min(1, keepdims=True))).any(1).all()


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(540, 540, 1), (500, 540, 1), (540, 500, 1), (921, 920, 921 / 540), (0, 0, 1)]
)
def test_the_scale_is_the_larger_side_of_the_field_of_view(height: int, width: int, scale: float) -> None:
    fov = np.zeros((1000, 1000), bool)
    fov[7 : 7 + height, 30 : 30 + width] = True
    assert fov_scale(fov) == pytest.approx(scale)


def test_thin_ends_at_its_radius_and_grows_with_the_image() -> None:
    caliber = np.array([0, 0.5, 1.5, 1.6, 3.0, 3.1])
    for scale, radius, count in ((1.0, 1.5, 2), (2.0, 1.5, 4), (1.0, 1.0, 1)):
        assert np.flatnonzero(is_thin(caliber, scale, radius)).tolist() == list(range(1, 1 + count))


def test_the_thin_share_of_drive(real_drive: Path) -> None:
    counts = [[int(mask.sum()) for mask in (case.thin, case.vessels, case.fov)] for case in drive(root=str(real_drive))]
    thin, vessels, field = np.sum(counts, axis=0)
    assert 100 * thin / vessels == pytest.approx(29.9, abs=0.5)
    assert vessels / field == pytest.approx(0.127, abs=0.001)
