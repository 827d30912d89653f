"""Pictures of every mode, depth and orientation, against twins that need no conversion."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bad_input.pictures import png16, pnm16, saved, tiff
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from xaibench.data.io.decode import Unreadable, grey_pixels, rgb_pixels

SIDES = st.sampled_from([1, 2, 3, 7, 13, 31, 53])
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "I;16", "F")
LOSSLESS = ("PNG", "TIFF", "PPM", "BMP", "GIF")


def noise(height: int, width: int, channels: int = 3, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    """Values over the whole range, the largest among them."""
    values = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)
    values[0, 0] = np.iinfo(dtype).max
    return values


@settings(max_examples=150, deadline=None)
@given(height=SIDES, width=SIDES, mode=st.sampled_from(MODES), form=st.sampled_from([*LOSSLESS, "JPEG", "WEBP"]))
def test_whatever_pillow_writes_has_a_reading(height: int, width: int, mode: str, form: str) -> None:
    base = Image.fromarray(noise(height, width))
    picture = base.convert("L").convert(mode) if mode in ("I", "I;16", "F") else base.convert(mode)
    try:
        content = saved(picture, form)
    except (OSError, KeyError, ValueError):
        return  # this format has no such mode
    if mode == "F" and form in ("TIFF", "PPM"):
        with pytest.raises(ValueError, match="not clear what is white"):
            rgb_pixels(content)
        return
    pixels = rgb_pixels(content)
    assert pixels.dtype == np.uint8 and pixels.shape == (height, width, 3)
    if mode == "RGB" and form in ("PNG", "TIFF", "PPM", "BMP"):
        np.testing.assert_array_equal(pixels, np.asarray(base))
    if mode in ("L", "I", "I;16") and form in ("PNG", "TIFF", "PPM"):
        np.testing.assert_array_equal(pixels, np.asarray(base.convert("L").convert("RGB")))


def colours(pixels: np.ndarray) -> str:
    return "rgb" if pixels.shape[2] == 3 else "minisblack"


DEEP: dict[str, Callable[[np.ndarray], bytes]] = {
    "png": png16,
    "pnm": pnm16,
    "tiff": lambda a: tiff(a if a.shape[2] == 3 else a[..., 0], photometric=colours(a)),
    "tiff big-endian": lambda a: tiff(a, photometric=colours(a), byteorder=">"),
    "tiff deflated": lambda a: tiff(a, photometric=colours(a), compression="zlib"),
    "tiff in planes": lambda a: (
        tiff(a[..., 0]) if a.shape[2] == 1 else tiff(a.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    ),
}


def written(pixels: np.ndarray, form: str) -> bytes:
    """The pixels of 8 bits in one of Pillow's formats, or of 16 bits in one of the deep ones."""
    return DEEP[form](pixels.astype(np.uint16) * 257) if form in DEEP else saved(pixels, form)


@settings(max_examples=60, deadline=None)
@given(height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]), form=st.sampled_from(sorted(DEEP)))
def test_sixteen_bits_are_read_as_their_twin_of_eight(height: int, width: int, channels: int, form: str) -> None:
    eight = noise(height, width, channels, seed=height * width)
    np.testing.assert_array_equal(rgb_pixels(written(eight, form)), np.broadcast_to(eight, (height, width, 3)))


@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (12, 4), (16, 8)])
def test_a_camera_of_fewer_bits_is_not_dark(bits: int, shift: int) -> None:
    values = np.arange(0, 1 << bits, (1 << bits) // 64, dtype=np.uint16).reshape(8, 8)
    values[-1, -1] = (1 << bits) - 1
    for content in (tiff(values), png16(values[..., None])):
        np.testing.assert_array_equal(rgb_pixels(content)[..., 1], values >> shift)


def test_decimals_are_of_one() -> None:
    values = noise(5, 7) / np.float32(255)
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(rgb_pixels(tiff(values.astype(dtype), photometric="rgb")), noise(5, 7))
    for bad in (-0.1, 1.5, np.nan, np.inf):
        values[2, 3, 1] = bad
        with pytest.raises(Unreadable):
            rgb_pixels(tiff(values, photometric="rgb"))


def test_white_is_zero_where_the_file_says_so() -> None:
    inverted = rgb_pixels(tiff(noise(5, 7, 1)[..., 0].astype(np.uint16) * 257, photometric="miniswhite"))
    np.testing.assert_array_equal(inverted[..., 0], 255 - noise(5, 7, 1)[..., 0])


def test_what_is_transparent_lies_on_black() -> None:
    pixels = noise(6, 9, 4)
    pixels[..., 3] = np.where(np.indices((6, 9))[1] < 4, 0, 255)
    pixels[0, 5, 3] = 128
    expected = np.rint(pixels[..., :3] * (pixels[..., 3:] / 255)).astype(int)
    deep = pixels.astype(np.uint16) * 257
    contents = [saved(pixels, form) for form in ("PNG", "TIFF")]
    contents += [png16(deep), tiff(deep, photometric="rgb", extrasamples=["unassalpha"])]
    for content in contents:
        found = rgb_pixels(content).astype(int)
        assert not found[:, :4].any()
        np.testing.assert_array_equal(found[1:], expected[1:])
        assert np.abs(found - expected).max() <= 1
    palette = Image.fromarray(pixels[..., :3]).quantize(8)
    index = int(np.asarray(palette)[3, 3])
    transparent = rgb_pixels(saved(palette, "PNG", transparency=index))
    assert not transparent[np.asarray(palette) == index].any()
    assert transparent[np.asarray(palette) != index].any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation: int) -> None:
    lying = noise(5, 8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for form in ("PNG", "WEBP"):
        content = saved(lying, form, exif=exif, lossless=True)  # of which PNG takes no notice
        upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
        assert (upright.shape == (8, 5, 3)) == (orientation > 4)
        np.testing.assert_array_equal(rgb_pixels(content), upright)
        np.testing.assert_array_equal(grey_pixels(content), np.asarray(Image.fromarray(upright).convert("L")))
        deep = tiff(lying.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
        np.testing.assert_array_equal(rgb_pixels(deep), upright)


def test_one_with_colours_in_exif_orientation_of_a_camera() -> None:
    """A JPEG turned by a quarter, against its twin that was stored upright."""
    smooth = np.add.outer(np.arange(48), 2 * np.arange(64))[..., None].repeat(3, 2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned clockwise
    lying = saved(np.rot90(smooth), "JPEG", quality=100, exif=exif)
    assert np.abs(rgb_pixels(lying).astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("share", [0.01, 0.5, 0.6])
@pytest.mark.parametrize("form", [*LOSSLESS, "JPEG", *DEEP])
def test_part_of_a_file_is_no_picture(form: str, share: float) -> None:
    whole = written(noise(64, 64), form)
    rgb_pixels(whole)
    with pytest.raises(Unreadable):
        rgb_pixels(whole[: int(len(whole) * share)])


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    rgb_pixels(saved(noise(25, 40)))
    for side in (32, 64):  # Pillow warns of the one and refuses the other
        for content in (saved(noise(side, side)), tiff(noise(side, side, 1, np.uint16))):
            with pytest.raises(Unreadable, match="million pixels"):
                rgb_pixels(content)


def test_postscript_is_not_run() -> None:
    with pytest.raises(Unreadable):
        rgb_pixels(saved(noise(8, 8), "EPS"))
