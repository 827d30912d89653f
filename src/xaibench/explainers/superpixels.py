"""Regions of a picture, and the cooperative game that they play for a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from skimage.segmentation import slic
from torch import Tensor

from xaibench.errors import UserError
from xaibench.explainers.arguments import at_least
from xaibench.explainers.reference import reference_image
from xaibench.scorer import Scorer

REGIONS = ("slic", "tiles")
VALUES = 2**23  # of the pictures that are made at a time, 32 MB, so that a thousand coalitions need no gigabytes

Game = Callable[[np.ndarray], np.ndarray]


def superpixels(image: Tensor, fov: Tensor, segments: int, regions: str = "slic") -> np.ndarray:
    """Cut the field of view into regions.

    Args:
        image: (3, H, W) in [0, 1].
        fov: (H, W) bool.
        segments: about how many; never more than the field of view has pixels.
        regions: ``"slic"``: superpixels of the green channel, in which vessels stand out most, that follow vessel edges
            (Achanta 2012); ``"tiles"``: squares on a grid, whatever the picture shows, those that the edge of the field
            of view cuts to less than a quarter joined to their neighbours.

    Returns:
        (H, W) int64 labels 0 … n - 1, each inside the field of view somewhere; outside it the nearest region's.

    Raises:
        UserError: for unknown regions, or less than one segment.
    """
    if regions not in REGIONS:
        raise UserError(f"There are no regions called {regions!r}.", f"The regions are {', '.join(REGIONS)}.")
    at_least(1, "segments", segments)
    inside = fov.numpy()
    labels = _slic(image, inside, segments) if regions == "slic" else _tiles(inside, segments)
    nearest = distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    _values, numbered = np.unique(labels[tuple(nearest)], return_inverse=True)
    return numbered.reshape(inside.shape).astype(np.int64)


def _slic(image: Tensor, inside: np.ndarray, segments: int) -> np.ndarray:
    """(H, W) labels from 1, and 0 where there is none.

    In a noisy picture superpixels that follow every grain fall to pieces, and all pieces are joined into one: then they
    are made more compact, until there are at least half as many as were asked for.
    """
    green = image[1].detach().cpu().numpy().astype(np.float64)
    for compactness in (0.1, 0.3, 1.0, 10.0):
        labels = slic(
            green, n_segments=segments, compactness=compactness, mask=inside, channel_axis=None, start_label=1
        )
        if 2 * len(np.unique(labels[inside])) >= min(segments, inside.sum()):
            break
    return np.where(inside, labels, 0)


def _tiles(inside: np.ndarray, segments: int) -> np.ndarray:
    """As :func:`_slic`; the grid begins at the corner of the field of view."""
    side = max(1, round(float(np.sqrt(inside.sum() / segments))))
    y, x = np.indices(inside.shape)
    y, x = (y - np.flatnonzero(inside.any(1))[0]) // side, (x - np.flatnonzero(inside.any(0))[0]) // side
    labels = np.where(inside, y * inside.shape[1] + x + 1, 0)
    # What a sliver is worth would stand on a few pixels, higher than anything else in the map.
    _values, index, area = np.unique(labels[inside], return_inverse=True, return_counts=True)
    labels[inside] *= area[index] >= min(side**2 / 4, area.max())
    return labels


def spread(values: np.ndarray, labels: np.ndarray, fov: Tensor) -> Tensor:
    """Region values to a map: each is shared evenly by its pixels in the field of view, so that the map sums to them.

    Args:
        values: (n,).
        labels: (H, W), of :func:`superpixels`.
        fov: (H, W) bool.

    Returns:
        (H, W) float32, 0 outside the field of view.
    """
    inside = fov.numpy()
    density = np.asarray(values, np.float64) / np.bincount(labels[inside], minlength=len(values))
    return torch.from_numpy(np.where(inside, density[labels], 0).astype(np.float32))


def scores(scorer: Scorer, pictures: Iterable[Tensor]) -> np.ndarray:
    """The score of each picture; no more of them exist at a time than fill 32 MB or one pass of the network.

    Args:
        scorer: network and target.
        pictures: (3, H, W) each, made as they are asked for.

    Returns:
        (N,) float64 mean logits.
    """
    values: list[float] = []
    pictures = iter(pictures)
    while part := list(islice(pictures, _at_a_time(scorer))):
        values.extend(scorer(torch.stack(part)).tolist())
    return np.array(values)


def _at_a_time(scorer: Scorer) -> int:
    """How many pictures: whole micro-batches, since what is left over goes through the network one by one."""
    micro = scorer.engine.micro_batch if scorer.engine else 1
    count = VALUES // (3 * scorer.target.mask.numel())
    return max(micro, count - count % micro, 1)


def game(scorer: Scorer, image: Tensor, reference: Tensor, labels: np.ndarray) -> Game:
    """The score of a picture in which only some regions are present, the others as in the reference.

    Args:
        scorer: network and target.
        image, reference: (3, H, W).
        labels: (H, W), of :func:`superpixels`.

    Returns:
        A function from coalitions, (N, n) of 0 and 1, to scores, (N,) float64. A coalition that it has seen costs no
        pass again: most methods ask for the empty and the full one many times.
    """
    where = torch.from_numpy(labels).to(scorer.device)
    image, reference = image.to(scorer.device), reference.to(scorer.device)
    known: dict[bytes, float] = {}

    def value(coalitions: np.ndarray) -> np.ndarray:
        rows = np.asarray(coalitions, bool)
        keys = [row.tobytes() for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
        present = (torch.from_numpy(row).to(scorer.device)[where] for row in new.values())
        pictures = (torch.where(p, image, reference) for p in present)
        known.update(zip(new, scores(scorer, pictures).tolist(), strict=True))
        return np.array([known[key] for key in keys])

    return value


def region_game(
    scorer: Scorer, image: Tensor, segments: int, regions: str, baseline: str
) -> tuple[np.ndarray, int, Game]:
    """The regions of a picture and their game: labels (H, W), how many they are, and the function of coalitions.

    Raises:
        UserError: for unknown regions or baseline, or less than one segment.
    """
    fov = scorer.target.fov
    reference = reference_image(baseline, image, fov)
    labels = superpixels(image, fov, segments, regions)
    return labels, int(labels.max()) + 1, game(scorer, image, reference, labels)
