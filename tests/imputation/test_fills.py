import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from xaibench.errors import UserError
from xaibench.imputation.fills import BLUR_SIGMA, FILLS, MEAN_SIGMA, Filler, prepare_fill
from xaibench.imputation.multigrid.solve import solve_inpaint

SIZE = (90, 80)
FOV = np.hypot(*(np.mgrid[:90, :80] - np.array([44.5, 39.5])[:, None, None])) < 36
IMAGE = np.random.default_rng(5).uniform(0.2, 0.8, (3, *SIZE)).astype(np.float32) * FOV
REMOVED = np.random.default_rng(6).random(SIZE) < 0.4


def prepared(name: str, image: np.ndarray = IMAGE, *, scale: float = 0.3, seed: int = 0) -> Filler:
    return prepare_fill(name, image, FOV, scale=scale, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("name", FILLS)
def test_only_removed_pixels_inside_the_field_of_view_change(name: str) -> None:
    before = IMAGE.copy()
    filled = prepared(name)(REMOVED)
    assert filled.shape == IMAGE.shape and filled.dtype == np.float32
    assert filled.min() >= 0 and filled.max() <= 1
    untouched = ~(REMOVED & FOV)
    np.testing.assert_array_equal(filled[:, untouched], IMAGE[:, untouched])
    assert (filled != IMAGE)[:, ~untouched].mean() > 0.99
    np.testing.assert_array_equal(IMAGE, before)


@pytest.mark.parametrize("name", FILLS)
def test_a_filler_keeps_no_state(name: str) -> None:
    fill = prepared(name)
    first = fill(REMOVED)
    np.testing.assert_array_equal(fill(np.zeros(SIZE, bool)), IMAGE)  # nothing removed gives the image
    fill(FOV)
    np.testing.assert_array_equal(fill(REMOVED), first)


@pytest.mark.parametrize("name", FILLS)
def test_what_lies_outside_the_field_of_view_is_ignored(name: str) -> None:
    other = np.where(FOV, IMAGE, np.float32(1))
    np.testing.assert_array_equal(prepared(name)(REMOVED)[:, FOV], prepared(name, other)(REMOVED)[:, FOV])


@pytest.mark.parametrize("name", ["inpaint", "blur", "mean"])
def test_a_flat_picture_stays_flat_up_to_the_edge_of_the_field_of_view(name: str) -> None:
    flat = np.where(FOV, np.float32(0.6), np.float32(0)) * np.ones((3, 1, 1), np.float32)
    filled = prepared(name, flat)(FOV)
    tolerance = 0.06 if name == "inpaint" else 1e-5  # six standard deviations of the noise
    np.testing.assert_allclose(filled[:, FOV], 0.6, atol=tolerance)


def test_inpaint_is_the_imputation_plus_noise_of_one_hundredth() -> None:
    noise = (prepared("inpaint")(REMOVED) - solve_inpaint(IMAGE, REMOVED, FOV))[:, REMOVED & FOV]
    assert noise.size > 4000
    assert noise.std() == pytest.approx(0.01, rel=0.06)
    assert abs(noise.mean()) < 0.001
    assert abs(np.corrcoef(noise)[0, 1]) < 0.1  # each channel has its own


def test_the_noise_is_one_field_for_all_steps() -> None:
    fill = prepared("inpaint")
    steps = REMOVED, REMOVED | np.roll(REMOVED, 1)
    fewer, more = ((fill(removed) - solve_inpaint(IMAGE, removed, FOV))[:, REMOVED & FOV] for removed in steps)
    np.testing.assert_allclose(fewer, more, atol=1e-6)


def test_the_noise_comes_from_the_generator() -> None:
    np.testing.assert_array_equal(prepared("inpaint", seed=1)(REMOVED), prepared("inpaint", seed=1)(REMOVED))
    assert (prepared("inpaint", seed=1)(REMOVED) != prepared("inpaint", seed=2)(REMOVED)).any()


def test_noise_cannot_lead_out_of_the_unit_range() -> None:
    filled = prepared("inpaint", np.ones_like(IMAGE))(FOV)
    assert filled.max() == 1 and 0.3 < (filled[:, FOV] == 1).mean() < 0.7


def test_everything_inpainted_is_the_mean_colour_plus_noise() -> None:
    filled = prepared("inpaint")(FOV)
    np.testing.assert_allclose(filled[:, FOV].mean(1), IMAGE[:, FOV].mean(1), atol=0.001)
    assert filled[:, FOV].std(1) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(("name", "sigma"), [("blur", BLUR_SIGMA), ("mean", MEAN_SIGMA)])
@pytest.mark.parametrize("scale", [0.2, 0.3, 1.0])
def test_blurs_are_normalised_gaussians(name: str, sigma: float, scale: float) -> None:
    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values.astype(np.float64), sigma * scale, mode="reflect", truncate=8)

    weight = smooth(FOV)
    for channel, original in zip(prepared(name, scale=scale)(FOV), IMAGE, strict=True):
        np.testing.assert_allclose(channel[FOV], smooth(original)[FOV] / weight[FOV], atol=2e-4)


def test_zero_is_black() -> None:
    assert (prepared("zero")(REMOVED)[:, REMOVED & FOV] == 0).all()


def test_an_unknown_fill_is_told_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no fill called 'noise'.*inpaint, blur, mean, zero"):
        prepared("noise")
