"""A map in colour, over the image it explains: pure functions on arrays.

The norm is one for all maps. Zero is in the middle and clear, and the colour is full at ±limit and beyond, by default
the 99.5th percentile of the absolute values. Unsigned maps use the half above zero, orange to pale yellow; signed maps
both, blue to pale blue for what speaks against. Orange and blue are told apart with any kind of colour vision, and both
grow lighter with strength, so that a grey print can be read, too. The image underneath is its green channel in grey
(the red-free image, in which vessels show best): whatever has a colour is attribution.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

PERCENTILE = 99.5  # of |a|, at which the colour is full: a few extreme pixels do not dim all the others
OPACITY = 0.6
THIN, THICK = (255, 122, 217), (255, 255, 255)  # contours; neither is a colour of the norm

_STRENGTH = (0.0, 0.6, 1.0)
_FOR = ((214, 72, 10), (250, 150, 20), (255, 236, 150))
_AGAINST = ((20, 80, 214), (60, 150, 250), (190, 232, 255))


def limit_of(attributions: np.ndarray | Iterable[np.ndarray], signed: bool) -> float:
    """The value at which the colour is full: the 99.5th percentile of |a|, or of the positive part if not ``signed``.

    Args:
        attributions: one array of any shape, or several that shall share one limit; what is not finite counts as 0.
        signed: whether values below 0 mean something.

    Returns:
        A positive number: of a map whose percentile is 0 its maximum, and 1 if that is 0, too.

    Example:
        >>> limit_of(np.arange(1001.0), signed=False)
        995.0
        >>> limit_of(np.zeros((4, 4)), signed=True)
        1.0
    """
    arrays = [attributions] if isinstance(attributions, np.ndarray) else list(attributions)
    parts = [np.ravel(_shown(a, signed)) for a in arrays]
    size = np.abs(np.concatenate(parts)) if parts else np.zeros(0)
    if not size.size:
        return 1.0
    return float(np.percentile(size, PERCENTILE)) or float(size.max()) or 1.0


def heat(attribution: np.ndarray, *, signed: bool, limit: float | None = None) -> np.ndarray:
    """The map in colour, as clear as it is weak.

    Args:
        attribution: (H, W) float; what is not finite counts as 0.
        signed: see :func:`limit_of`; if False, values below 0 count as 0.
        limit: at which the colour is full; :func:`limit_of` the map if None.

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
        opacity: from 0, the image alone, to 1, where the strongest attribution hides the image.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if image and map do not fit together, or the opacity is not in [0, 1].
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


def contour(mask: np.ndarray) -> np.ndarray:
    """The pixels around an (H, W) bool mask, (H, W) bool: those outside that touch it along an edge.

    None of the mask itself is covered, so that a vessel of one pixel stays visible inside its contour.

    Example:
        >>> contour(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], bool)).astype(int).tolist()
        [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    around = np.zeros_like(mask, dtype=bool)
    around[1:] |= mask[:-1]
    around[:-1] |= mask[1:]
    around[:, 1:] |= mask[:, :-1]
    around[:, :-1] |= mask[:, 1:]
    return np.asarray(around & ~mask)


def outlined(picture: np.ndarray, thin: np.ndarray, thick: np.ndarray) -> np.ndarray:
    """The picture with contours of thin (pink) and thick (white) vessels; where they meet, no contour is between them.

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
    """The norm from −limit (0 if not ``signed``) to limit, on black: (length, 3) uint8."""
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
