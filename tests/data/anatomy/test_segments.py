"""Vessels cut into segments: drawn lines of known width, length and contrast, junctions of known arms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_dilation, label
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from skimage.draw import line

from xaibench.data.anatomy.caliber import caliber_map
from xaibench.data.anatomy.segments import Segments, vessel_segments
from xaibench.data.case import Case, make_case
from xaibench.data.datasets.drive import drive
from xaibench.data.phantom.draw import draw_phantom

AROUND = np.ones((3, 3))


def case_of(vessels: np.ndarray, contrast: float = 0.25, scale: float = 1.0) -> Case:
    """On a ground of .4 everywhere."""
    image = np.where(vessels, 0.4 * (1 - contrast), 0.4)
    return make_case("drawn", np.stack([image] * 3), vessels, np.ones(vessels.shape, bool), scale=scale)


def cut(vessels: np.ndarray) -> Segments:
    return vessel_segments(case_of(vessels))


def blank(height: int = 81, width: int = 81) -> np.ndarray:
    return np.zeros((height, width), bool)


def stroke(vessels: np.ndarray, start: tuple[int, int], end: tuple[int, int], width: int = 1) -> np.ndarray:
    """Draws a straight line with square brushes into the array."""
    one = np.zeros_like(vessels)
    one[line(*start, *end)] = True
    vessels |= binary_dilation(one, np.ones((width, width))) if width > 1 else one
    return vessels


@pytest.mark.parametrize("upright", [False, True])
def test_a_line_has_its_length_area_caliber_and_contrast(upright: bool) -> None:
    vessels = blank(60, 90)
    vessels[20, 11:51] = True
    s = cut(vessels.T if upright else vessels)
    assert len(s) == 1
    assert (s.length.tolist(), s.pixels.tolist(), s.caliber.tolist(), s.thin.tolist()) == ([40], [40], [1], [True])
    assert s.contrast[0] == pytest.approx(0.25, abs=1e-4)
    middle = (s.x[0], s.y[0]) if upright else (s.y[0], s.x[0])
    assert middle in ((20, 30), (20, 31))


def test_a_slanting_line_is_as_long_as_its_diagonal_steps() -> None:
    s = cut(np.eye(50, dtype=bool)[:, :40])
    assert len(s) == 1 and s.length[0] == pytest.approx(1 + 39 * np.sqrt(2))


@pytest.mark.parametrize("width", [1, 3, 5, 7])
@pytest.mark.parametrize("diagonal", [False, True])
def test_two_bars_crossing_are_four_segments_around_one_junction(width: int, diagonal: bool) -> None:
    first, second = ((10, 10, 70, 70), (10, 70, 70, 10)) if diagonal else ((40, 5, 40, 75), (5, 40, 75, 40))
    s = cut(stroke(stroke(blank(), first[:2], first[2:], width), second[:2], second[2:], width))
    assert len(s) == 4
    assert np.ptp(s.length) <= 4 and np.ptp(s.pixels) <= 0.1 * s.pixels.mean() + 8
    assert label(s.centreline >= 0, AROUND)[1] == 4  # nothing but the junction parts them
    assert s.centreline[40, 40] < 0
    if not diagonal:
        assert set(s.caliber) == {(width + 1) / 2}


@pytest.mark.parametrize("width", [1, 3, 4, 6])
def test_a_branch_cuts_the_vessel_that_it_leaves(width: int) -> None:
    s = cut(stroke(stroke(blank(), (40, 5), (40, 75), width), (40, 40), (75, 40), 1))
    assert len(s) == 3
    twig = s.labels[70, 40]
    assert s.caliber[twig] == 1 and 33 <= s.pixels[twig] <= 35 + 2 * width  # with its share of the junction
    assert len({s.labels[40, 10], s.labels[40, 70], twig}) == 3


def test_a_bump_on_a_vessel_cuts_nothing() -> None:
    vessels = stroke(blank(), (40, 5), (40, 75), 7)
    vessels[43:46, 38:41] = True
    s = cut(vessels)
    assert len(s) == 1 and s.pixels[0] == vessels.sum()


def test_a_ring_is_one_segment_and_a_loop_on_a_stem_two() -> None:
    y, x = np.mgrid[:81, :81]
    ring = np.abs(np.hypot(y - 40, x - 40) - 25) < 0.8
    assert len(cut(ring)) == 1
    ring[40, 65:78] = True
    s = cut(ring)
    assert len(s) == 2 and max(s.length) > 2 * np.pi * 25 * 0.9


def test_nothing_is_too_small_to_be_a_segment() -> None:
    vessels = blank()
    vessels[10, 10] = vessels[20:22, 20:22] = vessels[30, 30:32] = vessels[0, 50:62] = vessels[60:64, 80] = True
    vessels[39:42, 40] = vessels[40, 39:42] = True
    s = cut(vessels)
    assert len(s) == 6
    assert s.pixels[s.labels[10, 10]] == 1 and s.length[s.labels[10, 10]] == 1
    assert s.pixels[s.labels[40, 40]] == 5
    assert s.length[s.labels[30, 30]] == 2


def test_what_only_touches_the_picture_is_kept() -> None:
    y, x = np.mgrid[:60, :60]
    vessels = np.hypot(y + 12, x - 30) < 14
    s = cut(vessels)
    assert len(s) >= 1 and s.pixels.sum() == vessels.sum() > 0


def test_only_the_field_of_view_counts() -> None:
    case = case_of(stroke(blank(), (40, 5), (40, 75)))
    fov = case.fov.clone()
    fov[:, :30] = False
    s = vessel_segments(replace(case, fov=fov))
    assert s.pixels.tolist() == [46] and (s.labels[:, :30] == -1).all()


def test_no_vessels_no_segments() -> None:
    s = cut(blank())
    assert len(s) == 0 and (s.labels == -1).all() and s.detected(np.ones(s.labels.shape)).shape == (0,)
    assert s.caliber.shape == s.contrast.shape == s.length.shape == s.y.shape == (0,)


def test_without_background_there_is_no_contrast_and_the_segment_stays() -> None:
    s = cut(np.ones((20, 20), bool))
    assert np.isnan(s.contrast).all() and s.pixels.sum() == 400


def test_thin_follows_the_scale() -> None:
    bar = stroke(blank(), (40, 5), (40, 75), 3)
    assert vessel_segments(case_of(bar)).caliber.tolist() == [2]
    assert [vessel_segments(case_of(bar, scale=scale)).thin.tolist() for scale in (1.0, 2.0)] == [[False], [True]]


def test_found_is_half_of_the_centreline() -> None:
    vessels = blank()
    vessels[20, 10:50] = vessels[60, 10:50] = True
    s = cut(vessels)
    probability = np.zeros(vessels.shape)
    probability[20, 10:30] = 0.5
    probability[60, 10:29] = 1.0
    probability[19] = 1.0  # beside it
    found = s.detected(probability)
    assert found[s.labels[20, 10]] and not found[s.labels[60, 10]]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.005, 0.3), grown=st.integers(0, 3))
def test_segments_part_the_vessels_whatever_they_look_like(seed: int, share: float, grown: int) -> None:
    rng = np.random.default_rng(seed)
    vessels = rng.random((40, 50)) < share
    vessels = binary_dilation(vessels, iterations=grown) if grown else vessels
    s = cut(vessels)
    on, inside = np.argwhere(s.centreline >= 0), np.argwhere(vessels)
    assert ((s.labels >= 0) == vessels).all() and vessels[tuple(on.T)].all()
    assert s.pixels.sum() == vessels.sum() and len(np.unique(s.labels[vessels])) == len(s)
    # Each pixel's segment is that of a nearest pixel of a centreline.
    away = cdist(inside, on)
    same = s.labels[tuple(inside.T)][:, None] == s.centreline[tuple(on.T)][None]
    np.testing.assert_allclose(np.where(same, away, np.inf).min(1), away.min(1))
    # Each centreline is in one piece, and no two touch.
    assert label(s.centreline >= 0, AROUND)[1] == len(s)
    for i in range(len(s)):
        own = np.argwhere(s.centreline == i)
        assert s.centreline[s.y[i], s.x[i]] == i
        # No shorter than half the way across (in a ring), and no longer than all its pixels in a row.
        assert cdist(own, own).max() / 2 + 1 - 1e-9 <= s.length[i] <= np.sqrt(2) * (len(own) - 1) + 1 + 1e-9
    # Every connected vessel has a segment of its own.
    parts, count = label(vessels, AROUND)
    assert len(np.unique(parts[tuple(on.T)])) == count


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_it_sees_the_same_in_a_mirror(seed: int) -> None:
    """Skeletons may differ by a pixel, the lines between junctions may not."""
    rng = np.random.default_rng(seed)
    vessels = blank()
    for x in (15, 40, 65):
        stroke(vessels, (5, x + int(rng.integers(-8, 9))), (75, x + int(rng.integers(-8, 9))), int(rng.integers(1, 6)))
    assert len(cut(vessels)) == len(cut(vessels[:, ::-1])) == 3


def test_on_a_phantom_the_segments_have_its_true_radii() -> None:
    case = draw_phantom(3, (256, 256))
    s = vessel_segments(case)
    measured = vessel_segments(replace(case, caliber=torch.from_numpy(caliber_map(case.vessels.numpy()))))
    assert len(s) > 30 and s.pixels.sum() == case.vessels.sum()
    # A segment has one width.
    assert np.average(np.abs(s.caliber - s.mean(case.caliber.numpy())), weights=s.pixels) < 0.25
    assert np.median(np.abs(measured.caliber - measured.mean(case.caliber.numpy()))[measured.length >= 10]) < 0.75


def test_drive_has_some_hundred_segments_and_the_wide_ones_have_contrast(real_drive: Path) -> None:
    s = vessel_segments(drive(root=str(real_drive))[0])
    assert 150 <= len(s) <= 400
    known = np.isfinite(s.contrast)
    assert spearmanr(s.caliber[known], s.contrast[known]).statistic > 0.5
    assert 0.4 < s.thin.mean() < 0.8
