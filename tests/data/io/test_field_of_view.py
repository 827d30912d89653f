"""The estimated field of view: of drawn discs, of images without a surround, and of DRIVE."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.measures import overlap
from xaibench.data.io.field_of_view import estimate_fov
from xaibench.data.io.source import open_source, read_image, read_mask


@settings(max_examples=25, deadline=None)
@given(
    radius=st.integers(60, 110),
    dx=st.integers(-30, 30),
    level=st.integers(40, 230),
    surround=st.integers(0, 6),
    seed=st.integers(0, 99),
)
def test_a_disc_is_found_wherever_it_is_cut_and_however_dim(
    radius: int, dx: int, level: int, surround: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:180, :240]
    fov = (y - 90) ** 2 + (x - 120 - dx) ** 2 < radius**2
    red = np.where(fov, level * (1 - 0.5 * np.hypot(y - 90, x - 120) / 150), surround) + rng.normal(0, 1.5, fov.shape)
    red[5:8, 5:8] = 250  # a printed label
    image = np.clip(np.stack([red, red * 0.5, red * 0.2], axis=2), 0, 255).astype(np.uint8)
    assert overlap(estimate_fov(image), fov) > 0.97


@pytest.mark.parametrize("level", [0, 1, 130, 255])
def test_an_image_without_a_dark_surround_is_all_field_of_view(level: int) -> None:
    assert estimate_fov(np.full((40, 50, 3), level, np.uint8)).all()
    noise = np.random.default_rng(0).integers(level // 2, level + 1, (40, 50, 3)).astype(np.uint8)
    assert level < 2 or estimate_fov(noise).all()


@pytest.mark.parametrize("name", ["01_test", "03_test", "14_test", "32_training", "40_training"])
def test_it_agrees_with_the_masks_of_drive(real_drive: Path, name: str) -> None:
    source = open_source(real_drive / name.partition("_")[2])
    image, mask = read_image(source, f"images/{name}.tif"), read_mask(source, f"mask/{name}_mask.gif")
    assert overlap(estimate_fov(image), mask) > 0.98
