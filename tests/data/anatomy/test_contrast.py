"""Weber contrast against answers that can be worked out by hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from xaibench.data.anatomy.contrast import weber_contrast


@given(st.floats(0.1, 1.0), st.floats(0.0, 1.0), st.floats(0.3, 3.0))
def test_contrast_is_the_share_of_light_lost_whatever_the_exposure(ground: float, kept: float, gain: float) -> None:
    vessels = np.zeros((50, 50), bool)
    vessels[20:23] = True
    green = np.where(vessels, ground * kept, ground) * gain
    contrast = weber_contrast(green, vessels, np.ones((50, 50), bool))
    np.testing.assert_allclose(contrast[vessels], 1 - kept, atol=1e-5)
    assert np.isnan(contrast[~vessels]).all()


def test_neither_the_edge_nor_what_lies_outside_the_field_nor_far_away_counts() -> None:
    vessels, fov = np.zeros((80, 80), bool), np.ones((80, 80), bool)
    vessels[40] = True
    fov[:30] = False
    green = np.full((80, 80), 0.4)
    green[vessels] = 0.3
    green[38:40] = green[41:43] = 0.1  # the blurred edge
    green[:30] = 0.9  # outside
    green[56:] = 0.9  # farther than 15 px
    assert weber_contrast(green, vessels, fov)[40, 40] == pytest.approx(0.25, abs=1e-5)


def test_distances_follow_the_scale() -> None:
    vessels = np.zeros((60, 60), bool)
    vessels[30] = True
    green = np.full((60, 60), 0.4)
    green[vessels] = 0.3
    green[26:30] = green[31:35] = 0.2
    fov = np.ones((60, 60), bool)
    assert weber_contrast(green, vessels, fov, scale=2.0)[30, 30] == pytest.approx(0.25, abs=1e-5)
    assert weber_contrast(green, vessels, fov)[30, 30] < 0.25


def test_without_vessels_or_background_there_is_no_contrast() -> None:
    full = np.ones((20, 20), bool)
    assert np.isnan(weber_contrast(np.ones((20, 20)), ~full, full)).all()
    assert np.isnan(weber_contrast(np.ones((20, 20)), full, full)).all()
    line = np.eye(20, dtype=bool)
    assert np.isnan(weber_contrast(np.zeros((20, 20)), line, full)).all()


@pytest.mark.skipif(not os.environ.get("XAIBENCH_DRIVE"), reason="XAIBENCH_DRIVE names no DRIVE folder")
def test_drive_has_the_contrast_that_is_documented() -> None:
    folder = Path(os.environ["XAIBENCH_DRIVE"]) / "test"
    if not (folder / "1st_manual").is_dir():
        pytest.skip("this DRIVE has no test labels")
    width, contrast = [], []
    for i in range(1, 21):
        green = np.asarray(Image.open(folder / f"images/{i:02d}_test.tif"))[..., 1] / 255
        fov = np.asarray(Image.open(folder / f"mask/{i:02d}_test_mask.gif").convert("L")) > 0
        vessels = (np.asarray(Image.open(folder / f"1st_manual/{i:02d}_manual1.gif").convert("L")) > 0) & fov
        skeleton = skeletonize(vessels)
        width.append((2 * distance_transform_edt(vessels) - 1)[skeleton])
        contrast.append(weber_contrast(green, vessels, fov)[skeleton])
    w, c = np.concatenate(width), np.concatenate(contrast)
    bounds = [(0, 1), (1, 3), (3, 5), (5, 7), (7, 99)]
    means = [float(np.nanmean(c[(w > a) & (w <= b)])) for a, b in bounds]
    np.testing.assert_allclose(means, [0.061, 0.146, 0.199, 0.262, 0.292], atol=0.002)
