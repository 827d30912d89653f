import numpy as np
import pytest

from xaibench.report.overlay import PERCENTILE, colour_bar, contour, heat, limit_of, outlined, overlay, red_free

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
MAP = RNG.normal(size=(24, 32))


def test_the_limit_is_the_percentile_of_what_is_shown() -> None:
    assert limit_of(MAP, signed=True) == pytest.approx(np.percentile(np.abs(MAP), PERCENTILE))
    assert limit_of(MAP, signed=False) == pytest.approx(np.percentile(np.maximum(MAP, 0), PERCENTILE))


def test_a_map_of_few_pixels_a_flat_one_and_no_map_at_all_have_a_limit() -> None:
    sparse = np.zeros((100, 100))
    sparse[3, 4] = 2
    assert limit_of(sparse, signed=False) == 2
    assert limit_of(np.zeros((8, 8)), signed=True) == limit_of(np.zeros(0), signed=True) == 1
    assert limit_of(-sparse, signed=False) == 1  # nothing of it is shown
    assert limit_of(np.full((4, 4), np.nan), signed=True) == 1


def test_nothing_is_clear_and_twice_as_much_is_twice_as_opaque_up_to_the_limit() -> None:
    row = heat(np.array([[0, 0.25, 0.5, 1, 5]]), signed=False, limit=1.0)[0]
    assert row[:, 3].tolist() == [0, 64, 128, 255, 255]
    assert (row[3] == row[4]).all()


def test_the_norm_is_symmetric_in_strength_and_unlike_in_colour() -> None:
    plus, minus = heat(MAP, signed=True), heat(-MAP, signed=True)
    assert (plus[..., 3] == minus[..., 3]).all()
    assert (plus[..., 0] > plus[..., 2])[MAP > 0].all()  # orange
    assert (plus[..., 0] < plus[..., 2])[MAP < 0].all()  # blue
    assert (heat(np.minimum(MAP, 0), signed=False)[..., 3] == 0).all()


def test_lightness_grows_with_strength_on_both_sides() -> None:
    light = colour_bar(True, 201).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light[100:]) >= 0).all() and (np.diff(light[:101]) <= 0).all()
    assert light[100] == 0 and light[0] > 150 and light[-1] > 150
    assert np.abs(colour_bar(False, 101).astype(int) - colour_bar(True, 201)[100:]).max() <= 1  # rounding


def test_an_overlay_without_attribution_or_opacity_is_the_red_free_image() -> None:
    grey = red_free(IMAGE)
    assert (grey[..., 0] == IMAGE[..., 1]).all() and (grey[..., 2] == IMAGE[..., 1]).all()
    assert (overlay(IMAGE, np.zeros((24, 32)), signed=True) == grey).all()
    assert (overlay(IMAGE, MAP, signed=True, opacity=0) == grey).all()


def test_at_full_opacity_the_strongest_attribution_hides_the_image() -> None:
    full = overlay(IMAGE, np.full((24, 32), 3.0), signed=False, limit=1.0, opacity=1)
    assert (full == full[0, 0]).all()
    half = overlay(IMAGE, np.full((24, 32), 3.0), signed=False, limit=1.0, opacity=0.5)
    assert np.abs(half.astype(int) - (full.astype(int) + red_free(IMAGE)) / 2).max() <= 0.5


def test_what_is_not_finite_is_clear_and_leaves_the_rest_as_it_was() -> None:
    broken = MAP.copy()
    broken[0, :3] = [np.nan, np.inf, -np.inf]
    rgba = heat(broken, signed=True, limit=1.0)
    assert (rgba[0, :3, 3] == 0).all()
    assert (rgba[1:] == heat(MAP, signed=True, limit=1.0)[1:]).all()


def test_a_contour_lies_around_its_mask_and_never_on_it() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2:5, 3:8] = True
    edge = contour(mask)
    assert not (edge & mask).any() and edge.sum() == 2 * (3 + 5)
    assert not contour(np.ones((5, 5), bool)).any() and not contour(np.zeros((5, 5), bool)).any()
    corner = np.zeros((4, 4), bool)
    corner[0, 0] = True
    assert contour(corner).sum() == 2  # it does not come in again at the other side


def test_contours_touch_no_vessel() -> None:
    thin, thick = np.zeros((24, 32), bool), np.zeros((24, 32), bool)
    thin[5, 4:12] = True
    thick[3:9, 12:16] = True
    drawn = outlined(IMAGE, thin, thick)
    changed = (drawn != IMAGE).any(-1)
    assert changed.any() and not (changed & (thin | thick)).any()
    assert drawn[4, 6].tolist() != drawn[2, 13].tolist()


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="does not go with"):
        overlay(IMAGE, MAP[:-1], signed=True)
    with pytest.raises(ValueError, match="opacity"):
        overlay(IMAGE, MAP, signed=True, opacity=1.5)
    with pytest.raises(ValueError, match="limit"):
        heat(MAP, signed=True, limit=0.0)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        heat(IMAGE, signed=True)
