"""Decoding of image files to pixels as a viewer shows them: upright, in colour, with 8 bits."""

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
from PIL import ExifTags, Image, ImageOps

from xaibench.disk import MOST
from xaibench.errors import first_line

if TYPE_CHECKING:
    from tifffile import TiffPage

# Not all that Pillow reads: for PostScript it would start another program, and some formats have no signature.
_FORMATS = ("PNG", "JPEG", "TIFF", "GIF", "PPM", "BMP", "WEBP", "JPEG2000")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # photometric interpretations of TIFF 6.0
_TIFF = (b"II", b"MM")  # signatures
_UNCOMPRESSED, _DEFLATE = 1, (8, 32946)  # compressions of TIFF
_STDERR = threading.Lock()  # held by the thread that redirects the process's stderr


class Unreadable(ValueError):
    """The content of a file is no image, damaged, or larger than the limit; the text is the reason."""


def rgb_pixels(content: bytes) -> np.ndarray:
    """The first image of a file in colour.

    It is turned as its EXIF orientation says, transparency is laid over black, and grey becomes all three colours. Of
    16 bits the upper 8 are kept. A grey image or TIFF of 16 bits whose values fill only 12 of them (up to 4095) or 8
    (up to 255) is read as one of 12 or 8. Decimal values must be in [0, 1].

    Args:
        content: of a PNG, JPEG, TIFF, GIF, PPM, PGM, BMP, WebP or JPEG 2000 file.

    Returns:
        (H, W, 3) uint8.

    Raises:
        Unreadable: if it is no image, damaged, or of more than 89 million pixels.
    """
    with _as_unreadable():
        if (deep := _deep_tiff(content)) is not None:
            return deep
        image = _open(content)
        if image.mode.startswith(("I", "F")):
            return np.repeat(_eight_bits(np.asarray(image))[..., None], 3, axis=2)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        return np.asarray(image.convert("RGB"))


def grey_pixels(content: bytes) -> np.ndarray:
    """The first image of a file of 8 bits in grey, turned as its EXIF orientation says: (H, W) uint8.

    Raises:
        Unreadable: as :func:`rgb_pixels`; also if it has more than 8 bits.
    """
    with _as_unreadable():
        image = _open(content)
        if image.mode.startswith(("I", "F")):
            raise Unreadable("it has more than 8 bits per pixel, so it is not clear what is white")
        return np.asarray(image.convert("L"))


@contextmanager
def _as_unreadable() -> Iterator[None]:
    """Turn any exception of a decoder into :class:`Unreadable`: a damaged file can raise anything."""
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
            reason = "it is no image, or its beginning is damaged"
        raise Unreadable(reason) from error


def _open(content: bytes) -> Image.Image:
    if not content:
        raise Unreadable("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, which changes no pixel
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with _silent_stderr() if content[:2] in _TIFF else nullcontext():
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
            image.load()
        return ImageOps.exif_transpose(image)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what libtiff writes to the process's stderr about a damaged file; Pillow raises it as an error, too."""
    with _STDERR, ExitStack() as stack:
        with suppress(OSError):  # a process without a stderr
            saved = os.dup(2)
            stack.callback(os.close, saved)
            null = os.open(os.devnull, os.O_WRONLY)
            stack.callback(os.close, null)
            os.dup2(null, 2)
            stack.callback(os.dup2, saved, 2)
        yield


def _deep_tiff(content: bytes) -> np.ndarray | None:
    """(H, W, 3) uint8 of a TIFF of more than 8 bits; None if it is none, or one that only Pillow can unpack.

    Pillow 13 mixes up the pixels of one whose colours lie in separate planes, and reads no decimal colours.
    """
    if content[:2] not in _TIFF:
        return None
    from tifffile import TiffFile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # Pillow reports the same as an error
    try:
        with TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first.aspage()
            if not _is_deep(page, len(content)):
                return None
            if page.nbytes > MOST or not _unpacks_to_its_size(page, content):
                raise Unreadable("it unpacks to more than an image of its size holds")
            pixels = page.asarray()
            if page.axes == "SYX":
                pixels = np.moveaxis(pixels, 0, 2)
            inverted, alpha = page.photometric == _WHITE_IS_ZERO, bool(page.extrasamples)
            orientation = int(page.tags.valueof("Orientation", default=1))
    except Unreadable:
        raise
    except Exception:  # a damaged file can raise anything
        return None
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = 3 if pixels.shape[2] >= 3 else 1
    colour = _eight_bits(pixels[..., :channels])
    colour = 255 - colour if inverted else colour
    if alpha and pixels.shape[2] > channels:
        opacity = pixels[..., channels : channels + 1]
        opaque = 1.0 if opacity.dtype.kind == "f" else float(np.iinfo(opacity.dtype).max)
        colour = np.rint(colour * np.clip(opacity / opaque, 0, 1)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3))))
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def _is_deep(page: TiffPage, size: int) -> bool:
    """Whether a page is a grey or RGB image of more than 8 bits, within the limit and whole in ``size`` bytes."""
    known = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and page.imagedepth == 1
    small = page.imagewidth * page.imagelength <= (Image.MAX_IMAGE_PIXELS or page.size)
    ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=True))
    return known and small and page.bitspersample > 8 and max(ends, default=0) <= size


def _unpacks_to_its_size(page: TiffPage, content: bytes) -> bool:
    """Whether each strip or tile unpacks to no more than its size, which tifffile does not check."""
    most = math.prod(page.chunks) * -(-page.bitspersample // 8)
    if most * len(page.dataoffsets) > 2 * MOST:
        return False
    if page.compression == _UNCOMPRESSED:
        return True
    if page.compression not in _DEFLATE:
        raise ValueError("only Pillow can unpack it")
    parts = (content[start : start + size] for start, size in zip(page.dataoffsets, page.databytecounts, strict=True))
    return all(len(zlib.decompressobj().decompress(part, most + 1)) <= most for part in parts)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min(initial=0) >= 0 and values.max(initial=0) <= 1):
            raise Unreadable("it has decimal values outside 0 … 1, so it is not clear what is white")
        return np.asarray(np.rint(values * 255), np.uint8)
    low, top = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or top > 65535:
        raise Unreadable(f"it has values from {low} to {top}, so it is not clear what is white")
    return np.asarray(values >> (0 if top < 1 << 8 else 4 if top < 1 << 12 else 8), np.uint8)
