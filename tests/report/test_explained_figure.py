"""The figure of one image: what it holds, in which order, and in what norm."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from xaibench.report.explained_figure import EXPLAINED, OTHER, Explained, Panel, draw, save
from xaibench.report.overlay import limit_of, overlay


def explained(height: int = 40, width: int = 50) -> Explained:
    y, x = np.mgrid[:height, :width]
    fov = (y - height / 2) ** 2 + (x - width / 2) ** 2 < (min(height, width) / 2) ** 2
    fov |= ~fov.any()
    found = np.zeros_like(fov)
    found[height // 2, width // 4 : 3 * width // 4 + 1] = True
    found[:, width // 2] = True
    target = found & (y == height // 2)
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return Explained(image, fov, found & fov, target & fov, "thin vessels")


def panels(shape: tuple[int, int], signed: tuple[bool, ...]) -> list[Panel]:
    rng = np.random.default_rng(1)
    return [Panel(f"method-{i}", rng.normal(size=shape), s) for i, s in enumerate(signed)]


def shown(figure: object) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in figure.axes if ax.images]  # type: ignore[attr-defined]


def test_one_method_is_the_overlay_with_outlines() -> None:
    about = explained()
    (panel,) = panels(about.fov.shape, (True,))
    (drawn,) = shown(draw(about, [panel], "caption"))
    inside = np.where(about.fov, panel.attribution, 0)
    plain = overlay(about.image, inside, signed=True, limit=limit_of(inside[about.fov], True))
    changed = (drawn != plain).any(-1)
    assert changed.any() and not changed[about.predicted].any()  # outlines lie around the vessels
    assert {tuple(c) for c in drawn[changed]} <= {EXPLAINED, OTHER}
    assert (drawn == EXPLAINED).all(-1).any() and (drawn == OTHER).all(-1).any()


def test_outlines_of_a_large_image_are_seen() -> None:
    about = explained(60, 3000)
    alone = np.zeros((60, 3000), bool)
    alone[30, 500:2500] = True
    about = Explained(about.image, np.ones_like(alone), alone, alone, "vessels")
    (drawn,) = shown(draw(about, [Panel("flat", np.zeros((60, 3000)), False)], ""))
    assert (drawn[:, 1500] == EXPLAINED).all(-1).nonzero()[0].tolist() == [27, 28, 29, 31, 32, 33]


def test_several_stand_beside_image_and_prediction() -> None:
    about = explained()
    maps = panels(about.fov.shape, (True, False, False))
    figure = draw(about, maps, "caption")
    pictures = shown(figure)
    assert len(pictures) == 5
    np.testing.assert_array_equal(pictures[0], about.image)
    titles = [ax.get_title() for ax in figure.axes[:5]]
    assert titles == ["image", "prediction", "method-0", "method-1", "method-2"]
    outside = pictures[3][~about.fov]  # what a map says outside the field of view is not drawn
    np.testing.assert_array_equal(outside, np.repeat(about.image[~about.fov][:, 1:2], 3, axis=1))


def test_the_limit_is_said_and_is_that_of_the_field_of_view() -> None:
    about = explained()
    (panel,) = panels(about.fov.shape, (True,))
    loud = Panel("loud", np.where(about.fov, panel.attribution, 1e6), True)
    limit = limit_of(panel.attribution[about.fov], True)
    texts = [t.get_text() for ax in draw(about, [loud, loud], "").axes for t in ax.texts]
    assert f"full at {limit:.3g}" in texts


@pytest.mark.parametrize(("value", "text"), [(1e-5, "1×10⁻⁵"), (2.345e8, "2.34×10⁸"), (0.0123, "0.0123"), (7, "7")])
def test_numbers_are_short(value: float, text: str) -> None:
    about = explained()
    flat = Panel("flat", np.full(about.fov.shape, value), False)
    assert any(text in t.get_text() for ax in draw(about, [flat, flat], "").axes for t in ax.texts)


@settings(max_examples=20, deadline=None)
@given(
    height=st.sampled_from([1, 2, 13, 97]),
    width=st.sampled_from([1, 5, 89, 211]),
    count=st.integers(1, 9),
    name=st.text("abcdefgh-[],=", min_size=1, max_size=90),
)
def test_any_shape_and_number_can_be_drawn(height: int, width: int, count: int, name: str) -> None:
    about = explained(height, width)
    maps = [Panel(name, np.zeros((height, width)), bool(i % 2)) for i in range(count)]
    figure = draw(about, maps, "caption")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=20)
    assert min(Image.open(out).size) > 10
    assert len(shown(figure)) == (1 if count == 1 else count + 2)


def test_pixels_of_a_large_image_are_kept(tmp_path: Path) -> None:
    for width, least in ((100, 900), (2400, 2400)):
        about = explained(80, width)
        save(draw(about, panels((80, width), (True,)), ""), tmp_path / "x.png", {"title": "", "description": ""})
        assert Image.open(tmp_path / "x.png").size[0] >= least
