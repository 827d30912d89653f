"""The vessel filter on drawn tubes, and against scikit-image's own."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import frangi

from xaibench.data.case import Case
from xaibench.data.vesselness import filled, vesselness

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
    whole = np.ones(green.shape, bool)
    assert np.array_equal(vesselness(green, whole), expected.astype(np.float32))


def test_its_scales_follow_the_picture() -> None:
    """A tube drawn three times as large looks like it did, where the filter knows."""
    small, large = vesselness(tube(1.0), EVERYWHERE), vesselness(tube(3.0), EVERYWHERE, scale=3.0)
    assert large[30].mean() == pytest.approx(small[30].mean(), abs=0.1)
    assert not np.array_equal(large, vesselness(tube(3.0), EVERYWHERE))


def test_outside_the_field_of_view_there_is_nothing_and_its_edge_is_no_vessel(eye: Case) -> None:
    fov = eye.fov.numpy()
    flat = np.where(fov, 0.6, 0.0)
    assert np.ptp(filled(flat, fov)) < 0.01
    map_ = vesselness(eye.image[1].numpy(), fov)
    assert (map_[~fov] == 0).all() and (map_ >= 0).all() and map_.any()
