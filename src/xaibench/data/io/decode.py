"""From the bytes of a picture file to pixels, as a viewer shows them: upright, in colour, with 8 bits."""

from __future__ import annotations

import io
import logging
import math
import os
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from xaibench.disk import MOST
from xaibench.errors import first_line

if TYPE_CHECKING:
    from tifffile import TiffPage

# Not all that Pillow knows: for PostScript it would start another program, and some formats have no signature.
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "PPM", "BMP", "WEBP", "JPEG2000")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # photometric interpretations of TIFF 6.0
_TIFF = (b"II", b"MM")  # what such a file begins with
_NONE, _DEFLATE = 1, (8, 32946)  # compressions of TIFF
_ONE_AT_A_TIME = threading.Lock()  # of threads that redirect the process's stderr
# What each value of EXIF's orientation asks for: the axes exchanged, then these steps along rows and columns.
_UPRIGHT = {
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}


class Unreadable(ValueError):
    """The content of a file is no picture, damaged, or larger than is read; the text is the reason."""


def rgb_pixels(content: bytes) -> np.ndarray:
    """The first picture of a file in colour.

    It is turned as its EXIF orientation says, what is transparent lies on black, and grey is all three colours. Of 16
    bits the upper 8 are kept. A grey picture or TIFF of 16 bits whose values fill only 12 of them (up to 4095) or 8 (up
    to 255) is read as one of 12 or 8. Decimal values must be in [0, 1].

    Args:
        content: of a PNG, JPEG, TIFF, GIF, PPM, PGM, BMP, WebP or JPEG 2000 file.

    Returns:
        (H, W, 3) uint8.

    Raises:
        Unreadable: if it is no picture, damaged, or of more than 89 million pixels.
    """
    with _reasoned():
        if (deep := _deep_tiff(content)) is not None:
            return deep
        picture = _opened(content)
        if picture.mode.startswith(("I", "F")):
            return np.repeat(_eight_bits(np.asarray(picture))[..., None], 3, axis=2)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
        return np.asarray(picture.convert("RGB"))


def grey_pixels(content: bytes) -> np.ndarray:
    """The first picture of a file of 8 bits in grey, turned as its EXIF orientation says: (H, W) uint8.

    Raises:
        Unreadable: as :func:`rgb_pixels`; also if it has more than 8 bits.
    """
    with _reasoned():
        picture = _opened(content)
        if picture.mode.startswith(("I", "F")):
            raise Unreadable("it has more than 8 bits per pixel, so it is not clear what is white")
        return np.asarray(picture.convert("L"))


@contextmanager
def _reasoned() -> Iterator[None]:
    """Turns whatever a decoder raises, which of a damaged file can be anything at all, into a reason."""
    try:
        yield
    except Unreadable:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise Unreadable(f"it has more than the {most:.0f} million pixels that are read") from error
    except Exception as error:
        reason = first_line(error)
        if "cannot identify" in reason:  # Pillow's own text shows a memory address
            reason = "it is no picture, or its beginning is damaged"
        raise Unreadable(reason) from error


def _opened(content: bytes) -> Image.Image:
    if not content:
        raise Unreadable("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which changes no pixel
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with _silent() if content[:2] in _TIFF else nullcontext():
            picture = Image.open(io.BytesIO(content), formats=_FORMATS)
            picture.load()
        return ImageOps.exif_transpose(picture)


@contextmanager
def _silent() -> Iterator[None]:
    """What libtiff writes to the process's stderr of a damaged file goes nowhere: it is raised as an error, too."""
    with _ONE_AT_A_TIME, ExitStack() as undone:
        with suppress(OSError):  # a process without a stderr
            kept = os.dup(2)
            undone.callback(os.close, kept)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            undone.callback(os.close, nowhere)
            os.dup2(nowhere, 2)
            undone.callback(os.dup2, kept, 2)
        yield


def _deep_tiff(content: bytes) -> np.ndarray | None:
    """(H, W, 3) uint8 of a TIFF of more than 8 bits; None if it is none, or one that only Pillow can unpack.

    Pillow 13 mixes up the pixels of one whose colours lie in planes of their own, and reads no decimal colours.
    """
    if content[:2] not in _TIFF:
        return None
    from tifffile import TiffFile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it would say, Pillow says as an error
    try:
        with TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first.aspage()
            most = Image.MAX_IMAGE_PIXELS or page.size
            known = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and page.imagedepth == 1
            if not known or page.bitspersample <= 8 or page.imagewidth * page.imagelength > most:
                return None
            ends = (start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True))
            if max(ends, default=0) > len(content):
                return None  # it is truncated, which Pillow will say
            if page.nbytes > MOST or not _unpacks_to_its_size(page, content):
                raise Unreadable("it unpacks to more than a picture of its size holds")
            pixels = page.asarray()
            if page.axes == "SYX":
                pixels = np.moveaxis(pixels, 0, 2)
            inverted, alpha = page.photometric == _WHITE_IS_ZERO, bool(page.extrasamples)
            tag = page.tags.get("Orientation")
            orientation = int(tag.value) if tag is not None else 1
    except Unreadable:
        raise
    except Exception:  # a damaged file can make it fail in any way at all
        return None
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    colours = 3 if pixels.shape[2] >= 3 else 1
    colour = _eight_bits(pixels[..., :colours])
    colour = 255 - colour if inverted else colour
    if alpha and pixels.shape[2] > colours:
        opaque = pixels[..., colours : colours + 1]
        full = 1.0 if opaque.dtype.kind == "f" else float(np.iinfo(opaque.dtype).max)
        colour = np.rint(colour * np.clip(opaque / full, 0, 1)).astype(np.uint8)
    return _upright(np.broadcast_to(colour, (*colour.shape[:2], 3)), orientation)


def _unpacks_to_its_size(page: TiffPage, content: bytes) -> bool:
    """Whether each strip or tile unpacks to no more than it should, which tifffile does not ask."""
    most = math.prod(page.chunks) * -(-page.bitspersample // 8)
    if most * len(page.dataoffsets) > 2 * MOST:
        return False
    if page.compression == _NONE:
        return True
    if page.compression not in _DEFLATE:
        raise ValueError("only Pillow can unpack it")
    parts = (content[start : start + size] for start, size in zip(page.dataoffsets, page.databytecounts, strict=True))
    return all(len(zlib.decompressobj().decompress(part, most + 1)) <= most for part in parts)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
            raise Unreadable("it has decimal values outside 0 … 1, so it is not clear what is white")
        full: np.ndarray = np.rint(values * 255)
        return full.astype(np.uint8)
    low, top = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or top > 65535:
        raise Unreadable(f"it has values from {low} to {top}, so it is not clear what is white")
    eight: np.ndarray = values >> (0 if top < 1 << 8 else 4 if top < 1 << 12 else 8)
    return eight.astype(np.uint8)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    exchanged, rows, columns = _UPRIGHT.get(orientation, (False, 1, 1))
    turned = pixels.swapaxes(0, 1) if exchanged else pixels
    return np.ascontiguousarray(turned[::rows, ::columns])
