"""A map in colour over the image that it explains: pure functions on arrays.

All maps have one colour norm. Zero is transparent, and the colour is full at ±limit and beyond; the limit is by default
the 99.5th percentile of the absolute values. Unsigned maps use orange to pale yellow. Signed maps also use blue to pale
blue for evidence against. People with any kind of colour vision can tell orange from blue, and both grow lighter with
strength, so that a grey print is readable. The image underneath is its green channel in grey (the red-free image, in
which vessels show best), so that every colour is attribution.
"""

import numpy as np
from scipy import ndimage

PERCENTILE = 99.5  # of |a|, at which the colour is full, so that a few extreme pixels do not dim the others
OPACITY = 0.6
THIN, THICK = (255, 122, 217), (255, 255, 255)  # contours; neither is a colour of the norm

_STRENGTH = (0.0, 0.6, 1.0)
_FOR = ((214, 72, 10), (250, 150, 20), (255, 236, 150))
_AGAINST = ((20, 80, 214), (60, 150, 250), (190, 232, 255))


def limit_of(attribution: np.ndarray, signed: bool) -> float:
    """The value at which the colour is full: the 99.5th percentile of |a|, or of the positive part if unsigned.

    Args:
        attribution: of any shape; values that are not finite count as 0.
        signed: whether values below 0 are evidence against.

    Returns:
        A positive number: the maximum if the percentile is 0, and 1 if the maximum is 0.

    Example:
        >>> limit_of(np.arange(1001.0), signed=False)
        995.0
        >>> limit_of(np.zeros((4, 4)), signed=True)
        1.0
    """
    size = np.abs(_shown(attribution, signed))
    if not size.size:
        return 1.0
    return float(np.percentile(size, PERCENTILE)) or float(size.max()) or 1.0


def heat(attribution: np.ndarray, *, signed: bool, limit: float | None = None) -> np.ndarray:
    """The map in colour, more transparent where it is weaker.

    Args:
        attribution: (H, W) float; values that are not finite count as 0.
        signed: see :func:`limit_of`; if False, values below 0 count as 0.
        limit: the value at which the colour is full; :func:`limit_of` the map if None.

    Returns:
        (H, W, 4) uint8, RGBA with straight alpha 255 · min(1, |a| ÷ limit).

    Raises:
        ValueError: if the map is not two-dimensional or the limit is not above 0.

    Example:
        >>> heat(np.array([[0.0, 1.0, -1.0]]), signed=True, limit=1.0)[0].tolist()
        [[214, 72, 10, 0], [255, 236, 150, 255], [190, 232, 255, 255]]
    """
    if attribution.ndim != 2:
        raise ValueError(f"a map of shape {attribution.shape} is not (H, W)")
    if limit is None:
        limit = limit_of(attribution, signed)
    if not limit > 0:
        raise ValueError(f"the limit {limit} is not above 0")
    value = _shown(attribution, signed)
    strength = np.minimum(np.abs(value) / limit, 1)
    colour = np.where((value >= 0)[..., None], _ramp(strength, _FOR), _ramp(strength, _AGAINST))
    return _bytes(np.concatenate([colour, 255 * strength[..., None]], -1))


def overlay(
    image: np.ndarray, attribution: np.ndarray, *, signed: bool, limit: float | None = None, opacity: float = OPACITY
) -> np.ndarray:
    """The map in colour over the red-free image.

    Args:
        image: (H, W, 3) uint8 RGB.
        attribution: (H, W) float.
        signed: see :func:`limit_of`.
        limit: see :func:`heat`.
        opacity: of the strongest attribution, from 0 (the image alone) to 1 (hides the image).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if image and map differ in shape, or the opacity is not in [0, 1].
    """
    if image.shape != (*attribution.shape, 3):
        raise ValueError(f"an image of shape {image.shape} does not go with a map of shape {attribution.shape}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"the opacity {opacity} is not between 0 and 1")
    rgba = heat(attribution, signed=signed, limit=limit).astype(float)
    alpha = opacity * rgba[..., 3:] / 255
    return _bytes(red_free(image) * (1 - alpha) + rgba[..., :3] * alpha)


def red_free(image: np.ndarray) -> np.ndarray:
    """The green channel of an (H, W, 3) uint8 image in grey, (H, W, 3) uint8."""
    return np.repeat(image[..., 1:2], 3, axis=-1)


def contour(mask: np.ndarray, width: int = 1) -> np.ndarray:
    """The pixels outside an (H, W) bool mask within ``width`` steps over edges of it, (H, W) bool.

    The contour covers no pixel of the mask, so that a vessel of one pixel stays visible inside it.

    Example:
        >>> contour(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)).astype(int).tolist()
        [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    return np.asarray(ndimage.binary_dilation(mask, iterations=width) & ~mask)


def outlined(picture: np.ndarray, thin: np.ndarray, thick: np.ndarray) -> np.ndarray:
    """The picture with contours of thin (pink) and thick (white) vessels, without a contour where they meet.

    Args:
        picture: (H, W, 3) uint8 RGB.
        thin, thick: (H, W) bool.
    """
    drawn = picture.copy()
    vessels = thin | thick
    drawn[contour(thick) & ~vessels] = THICK
    drawn[contour(thin) & ~vessels] = THIN
    return drawn


def colour_bar(signed: bool, length: int) -> np.ndarray:
    """The colours from −limit (from 0 if unsigned) to limit, on black: (length, 3) uint8."""
    values = np.linspace(-1 if signed else 0, 1, length)[None]
    rgba = heat(values, signed=signed, limit=1.0)[0].astype(float)
    return _bytes(rgba[:, :3] * rgba[:, 3:] / 255)


def _shown(attribution: np.ndarray, signed: bool) -> np.ndarray:
    value = np.nan_to_num(np.asarray(attribution, float), nan=0.0, posinf=0.0, neginf=0.0)
    return np.asarray(value if signed else np.maximum(value, 0))


def _ramp(strength: np.ndarray, colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    return np.stack([np.interp(strength, _STRENGTH, channel) for channel in zip(*colours, strict=True)], -1)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)
