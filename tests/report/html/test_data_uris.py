import base64
import io

import numpy as np
from PIL import Image

from report.made_up_run import write_made_up_run
from xaibench.leaderboard.run_results import read_results
from xaibench.report.html.data_uris import jpeg, resized, smaller, stencil, webp
from xaibench.report.overlay import THIN, heat
from xaibench.report.sections.map_grid import CONTOUR_SIDE, MAPS_SIZE, Pictures, grid, side_for
from xaibench.report.selection import chosen_cases


def opened(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head.startswith("data:image/") and head.endswith(";base64")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA"))


def test_smaller_pictures_are_means_over_areas() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(64, 32)).astype(np.float32)
    assert np.allclose(smaller(a, 16), a.reshape(16, 4, 8, 4).mean((1, 3)), atol=1e-5)
    assert smaller(a, 64) is a or (smaller(a, 64) == a).all()
    mask = rng.random((64, 32)) < 0.3
    assert np.allclose(smaller(mask, 16), mask.reshape(16, 4, 8, 4).mean((1, 3)), atol=1e-6)
    assert smaller(rng.integers(0, 256, (64, 32, 3), dtype=np.uint8), 16).shape == (16, 8, 3)


def test_pictures_come_back_from_their_uris() -> None:
    grey = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    assert np.abs(opened(jpeg(grey))[..., 0].astype(int) - grey).max() < 12
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 128)])
    assert np.abs(opened(webp(rgba)).astype(int) - rgba).mean() < 4


def test_a_stencil_has_one_colour_where_the_mask_is_and_nothing_elsewhere() -> None:
    mask = np.zeros((20, 30), bool)
    mask[3:7, 5:25] = True
    back = opened(stencil(mask, THIN))
    assert ((back[..., 3] > 0) == mask).all() and (back[mask][:, :3] == THIN).all()


def test_what_does_not_compress_is_kept_at_lower_quality() -> None:
    noise = heat(np.random.default_rng(0).normal(size=(128, 128)), signed=True)
    assert len(webp(noise, 20_000)) < len(webp(noise))
    flat = np.zeros((128, 128, 4), np.uint8)
    assert webp(flat, 5_000) == webp(flat)


def test_the_maps_of_28_methods_and_9_controls_leave_room_in_15_mb_even_where_all_are_noise() -> None:
    """A page of one target, and one of all five."""
    rng = np.random.default_rng(0)
    for maps in (37 * 3, 5 * 37 * 3):
        side = side_for(maps)
        noise = webp(heat(rng.normal(size=(side, side)), signed=True), MAPS_SIZE / maps)
        assert maps * len(noise) < 11e6


def test_masks_are_resized_either_way() -> None:
    mask = np.zeros((30, 60), bool)
    mask[10:20] = True
    assert resized(mask, CONTOUR_SIDE).shape == (CONTOUR_SIDE // 2, CONTOUR_SIDE)
    assert resized(mask, 20).shape == (10, 20)
    assert abs(resized(mask, 600).mean() - mask.mean()) < 0.01


def test_a_map_is_shown_inside_the_field_of_view_and_an_image_embedded_once(tmp_path) -> None:
    store = write_made_up_run(tmp_path / "run", images=3, targets=("vessels",))
    (result,) = read_results([store])
    pictures = Pictures(store)
    shown = grid(result, chosen_cases(result.board), pictures, 21)
    assert len(pictures.rules) == 3 * 6  # one class per image: its ratio and five layers
    first = opened(shown["rows"][0]["maps"][0]["source"])
    assert first.shape[:2] == (40, 50) and first[0, 0, 3] == 0  # a corner
    assert not shown["missing"] and [line["row"] for line in shown["rows"]] == list(result.board.rows)
    signs = {line["row"].method: line["maps"][0]["signed"] for line in shown["rows"]}
    assert signs["fair"] and not signs["random"]
