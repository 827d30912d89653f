"""The vessel filter on drawn tubes, and against scikit-image's own."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage.filters import frangi

from xaibench.data.anatomy.vesselness import continued, vesselness
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom

EVERYWHERE = np.ones((60, 60), bool)


def tube(radius: float, depth: float = -0.3) -> np.ndarray:
    """With a little noise, without which a straight line has a second derivative of exactly 0 along it."""
    y, noise = np.mgrid[:60, :60][0], np.random.default_rng(0).normal(0, 1e-3, (60, 60))
    return 0.6 + depth * np.exp(-0.5 * ((y - 30) / radius) ** 2) + noise


def test_dark_tubes_are_vessels_and_bright_ones_are_not() -> None:
    dark, bright = (vesselness(tube(2.0, depth), EVERYWHERE) for depth in (-0.3, 0.3))
    assert dark.dtype == np.float32 and dark[30].min() > 0.5 and dark[10].max() < 0.01
    assert bright[30].max() < 0.05


def test_in_a_whole_picture_it_is_the_filter_itself(eye: Case) -> None:
    green = eye.image[1].numpy()
    expected = frangi(green.astype(np.float64), sigmas=(1, 1.5, 2, 3, 4), black_ridges=True)
    assert np.array_equal(vesselness(green, np.ones(green.shape, bool)), expected.astype(np.float32))


def test_its_scales_follow_the_picture() -> None:
    """A tube drawn three times as large looks like it did, where the filter knows."""
    small, large = vesselness(tube(1.0), EVERYWHERE), vesselness(tube(3.0), EVERYWHERE, scale=3.0)
    assert large[30].mean() == pytest.approx(small[30].mean(), abs=0.1)
    assert not np.array_equal(large, vesselness(tube(3.0), EVERYWHERE))


def test_outside_the_field_of_view_there_is_nothing(eye: Case) -> None:
    fov = eye.fov.numpy()
    map_ = vesselness(eye.image[1].numpy(), fov)
    assert (map_[~fov] == 0).all() and (map_ >= 0).all() and map_.any()


def disc(side: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the middle, and a field of view of 60 px around it."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.hypot(y, x), np.hypot(y, x) <= 60


def test_light_that_falls_off_towards_the_edge_is_continued_as_a_plane() -> None:
    y, x = np.mgrid[:160, :160]
    fov, ramp = disc()[1], 0.2 + 0.002 * x + 0.001 * y
    assert np.abs(continued(np.where(fov, ramp, 0.0), fov) - ramp)[disc()[0] < 66].max() < 1e-6
    assert np.array_equal(continued(ramp, np.ones_like(fov)), ramp)
    only = np.zeros((9, 9), bool)
    only[4, 4] = True  # a field that is all rim
    assert np.isfinite(continued(np.where(only, 0.5, 0.0), only)).all()


def test_the_edge_of_the_field_is_no_vessel() -> None:
    """Light falls off by half, and the aperture darkens the last two pixels; one vessel crosses the field."""
    away, fov = disc()
    noise = np.random.default_rng(0).normal(0, 0.004, away.shape)
    light = 0.6 * (1 - 0.5 * (away / 60) ** 2) * np.where(away > 58, 0.8, 1.0) + noise
    light[78:82] -= 0.12
    map_ = vesselness(np.where(fov, light, 0.0), fov)
    rim, line = fov & (away > 54), np.zeros_like(fov)
    line[76:84] = True
    assert map_[rim & ~line].sum() < 0.1 * map_[fov].sum() < 0.15 * map_[line & fov].sum()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_edge_of_a_phantom_is_no_vessel(seed: int) -> None:
    case = draw_phantom(seed, (256, 256))
    fov = case.fov.numpy()
    rim = fov & (distance_transform_edt(fov) <= 5)
    map_ = vesselness(case.image[1].numpy(), fov)
    assert map_[rim].sum() / map_[fov].sum() < 3 * rim.sum() / fov.sum()
