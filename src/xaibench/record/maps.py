"""Attribution maps on disk: float16 with a scale, in an npz archive, with a digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from xaibench.record import npz

if TYPE_CHECKING:
    import numpy as np


def as_stored(attribution: np.ndarray) -> np.ndarray:
    """The map as it will be read back: (H, W) float32.

    This is what is scored, so that a score is the same at once and from the stored map. A map is stored as float16 of
    a / max|a| with the scale beside it, since float16 alone would lose a gradient of 1e-9. The error is below
    2⁻¹¹ |a|, and below 2⁻²⁵ max|a| where |a| is less than 2⁻¹⁴ of the maximum.

    Example:
        >>> import numpy as np
        >>> as_stored(np.array([[1e-9, -4e-9]])).tolist() == np.array([[1e-9, -4e-9]], np.float32).tolist()
        True
    """
    return _unscale(*_scale(attribution))


def pack(attribution: np.ndarray) -> tuple[bytes, str]:
    """The archive of a (H, W) map, and the digest of its numbers, which does not depend on the compression.

    Raises:
        ValueError: if the map is not two-dimensional or not finite.
    """
    scaled, scale = _scale(attribution)
    return npz.pack({"map": scaled, "scale": scale}), _digest(scaled, scale)


def unpack(content: bytes, digest: str = "") -> np.ndarray:
    """(H, W) float32, the map as :func:`as_stored` gives it.

    Args:
        content: an archive as :func:`pack` makes it.
        digest: of the map; empty if unknown.

    Raises:
        ValueError: if it is another map, or none.
    """
    import numpy as np

    arrays = npz.unpack(content)
    scaled, factor = arrays.get("map"), arrays.get("scale")
    if scaled is None or factor is None or scaled.ndim != 2 or scaled.dtype != np.float16 or factor.size != 1:
        raise ValueError("it holds no map")
    if not (scaled.size and np.isfinite(scaled).all() and np.isfinite(factor).all()):
        raise ValueError("its map is not finite")
    scale = float(factor.ravel()[0])
    if digest and _digest(scaled, scale) != digest:
        raise ValueError("it is not the map that was written (wrong checksum)")
    return _unscale(scaled, scale)


def _digest(scaled: np.ndarray, scale: float) -> str:
    layout = f"{scaled.dtype.str} {scaled.shape} {scale.hex()}"
    return hashlib.sha256(layout.encode() + scaled.tobytes()).hexdigest()[:32]


def _scale(attribution: np.ndarray) -> tuple[np.ndarray, float]:
    import numpy as np

    a = np.asarray(attribution, np.float32).astype(np.float64)
    if a.ndim != 2:
        raise ValueError(f"a map has two dimensions, not the shape {a.shape}")
    if not np.isfinite(a).all():
        raise ValueError("a map that is not finite everywhere cannot be kept")
    scale = float(np.abs(a).max(initial=0.0))
    return (a / (scale or 1.0)).astype(np.float16), scale


def _unscale(scaled: np.ndarray, scale: float) -> np.ndarray:
    return (scaled.astype("float64") * scale).astype("float32")
