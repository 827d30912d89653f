"""Pictures inside a page: arrays as data URIs."""

import base64
import io
import math

import numpy as np
from PIL import Image

QUALITY = 70
LOWER_QUALITIES = (45, 25, 10)  # for noise, which does not compress


def smaller(array: np.ndarray, side: int) -> np.ndarray:
    """The array scaled down to a long side of at most ``side`` by means over areas.

    Args:
        array: (H, W) or (H, W, 3).
        side: px.

    Returns:
        uint8 for uint8, else float32; for bool the share that is True.

    Example:
        >>> smaller(np.zeros((584, 565)), 320).shape, smaller(np.zeros((100, 50)), 320).shape
        ((320, 310), (100, 50))
    """
    height, width = array.shape[:2]
    factor = min(1.0, side / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
    if size == array.shape[:2]:
        return array
    return np.asarray(Image.fromarray(array).resize(size[::-1], Image.Resampling.BOX))


def resized(mask: np.ndarray, side: int) -> np.ndarray:
    """An (H, W) bool mask scaled to a long side of ``side`` px: (h, w) float32, the share that is True."""
    height, width = mask.shape
    size = (max(1, round(width * side / max(mask.shape))), max(1, round(height * side / max(mask.shape))))
    return np.asarray(Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def jpeg(picture: np.ndarray) -> str:
    """An (H, W, 3) or (H, W) uint8 picture as the data URI of a JPEG."""
    return _uri(Image.fromarray(picture), "jpeg", quality=QUALITY, optimize=True)


def webp(picture: np.ndarray, most: float = math.inf) -> str:
    """An (H, W, 4) or (H, W, 3) uint8 picture as the data URI of a WebP.

    Args:
        picture: RGBA or RGB.
        most: characters of the URI; the quality is lowered until it fits, or down to the lowest one.
    """
    uri = ""
    for quality in (QUALITY, *LOWER_QUALITIES):
        uri = _uri(Image.fromarray(picture), "webp", quality=quality, alpha_quality=quality, method=4)
        if len(uri) <= most:
            break
    return uri


def stencil(mask: np.ndarray, colour: tuple[int, int, int]) -> str:
    """An (H, W) bool mask in one colour on a transparent ground, as the data URI of a PNG."""
    image = Image.fromarray(mask.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, *colour])
    return _uri(image, "png", transparency=0, bits=1, optimize=True)


def _uri(image: Image.Image, format: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return f"data:image/{format};base64,{base64.b64encode(buffer.getvalue()).decode()}"
