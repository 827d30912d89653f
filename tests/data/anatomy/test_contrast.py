"""Weber contrast against answers that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.measures import centreline_width_and_contrast, mean_contrast_by_width
from xaibench.data.anatomy.contrast import weber_contrast
from xaibench.data.datasets.drive import drive


@given(st.floats(0.1, 1.0), st.floats(0.0, 1.0), st.floats(0.3, 3.0))
def test_contrast_is_the_share_of_light_lost_whatever_the_exposure(ground: float, kept: float, gain: float) -> None:
    vessels = np.zeros((50, 50), bool)
    vessels[20:23] = True
    green = np.where(vessels, ground * kept, ground) * gain
    contrast = weber_contrast(green, vessels, np.ones((50, 50), bool))
    np.testing.assert_allclose(contrast[vessels], 1 - kept, atol=1e-5)
    assert np.isnan(contrast[~vessels]).all()


LINE, EVERYWHERE = np.zeros((80, 80), bool), np.ones((80, 80), bool)
LINE[40] = True


def test_neither_the_edge_nor_what_lies_outside_the_field_nor_far_away_counts() -> None:
    fov = EVERYWHERE.copy()
    fov[:30] = False
    green = np.where(LINE, 0.3, 0.4)
    green[38:40] = green[41:43] = 0.1  # the blurred edge
    green[:30] = 0.9  # outside
    green[56:] = 0.9  # farther than 15 px
    assert weber_contrast(green, LINE, fov)[40, 40] == pytest.approx(0.25, abs=1e-5)


def test_distances_follow_the_scale() -> None:
    green = np.where(LINE, 0.3, 0.4)
    green[36:40] = green[41:45] = 0.2
    assert weber_contrast(green, LINE, EVERYWHERE, scale=2.0)[40, 40] == pytest.approx(0.25, abs=1e-5)
    assert weber_contrast(green, LINE, EVERYWHERE)[40, 40] < 0.25


def test_without_vessels_or_background_there_is_no_contrast() -> None:
    for green, vessels in ((1, ~EVERYWHERE), (1, EVERYWHERE), (0, np.eye(80, dtype=bool))):
        assert np.isnan(weber_contrast(np.full((80, 80), green), vessels, EVERYWHERE)).all()


def test_drive_has_the_contrast_that_is_documented(real_drive: Path) -> None:
    means = mean_contrast_by_width(*centreline_width_and_contrast(drive(root=str(real_drive))))
    np.testing.assert_allclose(means, [0.061, 0.146, 0.199, 0.262, 0.292], atol=0.002)
