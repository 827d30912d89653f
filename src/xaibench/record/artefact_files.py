"""Pictures and removal films in a run's folder, with which maps can be shown without the data.

Both may show data whose terms forbid redistribution, as the run's maps do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xaibench.record.store import Store

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with its labels and a network's prediction.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        fov: (H, W) bool, the field of view.
        vessels: (H, W) bool, labels of the first observer.
        thin: (H, W) bool, those of the vessels that count as thin.
        caliber: (H, W) float16, the vessel radius in px at every vessel pixel, 0 elsewhere.
        prediction: (H, W) uint8, 255 · vessel probability.
    """

    image: np.ndarray
    fov: np.ndarray
    vessels: np.ndarray
    thin: np.ndarray
    caliber: np.ndarray
    prediction: np.ndarray

    @property
    def thick(self) -> np.ndarray:
        """(H, W) bool, the vessels that are not thin."""
        thick: np.ndarray = self.vessels & ~self.thin
        return thick


@dataclass(frozen=True, eq=False)
class Film:
    """Pixel flipping frame by frame: the image without its most attributed pixels, and the prediction on it.

    Attributes:
        shares: (n,) float, the removed share of the field of view, from 0 to 1.
        pictures: (n, h, w, 3) uint8 RGB, downscaled.
        predictions: (n, h, w) uint8, 255 · vessel probability, 0 outside the field of view.
        probability: (n,) float, the target's mean probability.
    """

    shares: np.ndarray
    pictures: np.ndarray
    predictions: np.ndarray
    probability: np.ndarray


def picture_key(case_digest: str, weights_digest: str) -> str:
    """The name of the picture of a case for a network."""
    return f"{case_digest}-{weights_digest}"


def write_picture(store: Store, key: str, picture: Picture) -> None:
    """Write a picture, see :func:`picture_key`; UserError if the folder cannot be written."""
    store.write_arrays("pictures", key, vars(picture))


def load_picture(store: Store, key: str) -> Picture | None:
    """The picture of that key; None if it is absent, damaged, or of another version."""
    arrays = store.load_arrays("pictures", key)
    shape = arrays["fov"].shape if arrays and "fov" in arrays else ()
    kinds = {"image": "u1", "fov": "b", "vessels": "b", "thin": "b", "caliber": "f", "prediction": "u1"}
    shapes = dict.fromkeys(kinds, shape) | {"image": (*shape, 3)}
    return Picture(**arrays) if arrays and len(shape) == 2 and _fits(arrays, kinds, shapes) else None


def film_key(map_key: str, fill: str, steps: int) -> str:
    """The name of the film of a map, by the fill of removed pixels and the number of steps."""
    return hashlib.sha256(f"{map_key} {fill} {steps}".encode()).hexdigest()[:24]


def write_film(store: Store, key: str, film: Film) -> None:
    """Write a film, see :func:`film_key`; UserError if the folder cannot be written."""
    store.write_arrays("films", key, vars(film))


def load_film(store: Store, key: str) -> Film | None:
    """The film of that key; None if it is absent, damaged, or of another version."""
    arrays = store.load_arrays("films", key)
    shape = arrays["predictions"].shape if arrays and "predictions" in arrays else ()
    kinds = {"shares": "f", "pictures": "u1", "predictions": "u1", "probability": "f"}
    shapes = {"shares": shape[:1], "pictures": (*shape, 3), "predictions": shape, "probability": shape[:1]}
    return Film(**arrays) if arrays and len(shape) == 3 and _fits(arrays, kinds, shapes) else None


def _fits(arrays: Mapping[str, np.ndarray], kinds: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether these are the arrays, of these kinds and shapes, none of them empty, and all finite."""
    import numpy as np

    return arrays.keys() == kinds.keys() and all(
        a.dtype.str[1:].startswith(kinds[name]) and a.shape == shapes[name] and a.size and np.isfinite(a).all()
        for name, a in arrays.items()
    )
