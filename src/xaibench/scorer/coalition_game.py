"""The cooperative game that regions of a picture play for a score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import find_objects
from torch import Tensor

from xaibench.data.regions import superpixels
from xaibench.scorer.local_forward import Box
from xaibench.scorer.scorer import Scorer

Game = Callable[[np.ndarray], np.ndarray]


def game(scorer: Scorer, image: Tensor, reference: Tensor, labels: np.ndarray) -> Game:
    """The score of a picture in which only some regions are present, the others as in the reference.

    Where the few that are absent, or present, lie in one place, it is scored by a crop around that place.

    Args:
        scorer: network and target.
        image, reference: (3, H, W).
        labels: (H, W), of :func:`~xaibench.data.regions.superpixels`.

    Returns:
        A function from coalitions, (N, n) of 0 and 1, to scores, (N,) float64. A coalition that it has seen costs no
        pass again: most methods ask for the empty and the full one many times.
    """
    where = torch.from_numpy(labels).to(scorer.device)
    near = {present: scorer.near(picture) for present, picture in ((True, image), (False, reference))}
    image, reference = near[True].image, near[False].image
    differs = (image != reference).any(0).cpu().numpy()
    places = find_objects(np.where(differs, labels + 1, 0), max_label=int(labels.max()) + 1)
    known: dict[bytes, float] = {}
    place = torch.empty_like(image)

    def value(coalitions: np.ndarray) -> np.ndarray:
        rows = np.asarray(coalitions, bool)
        keys = [row.tobytes() for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in known}
        for base, picture in near.items():
            local: dict[bytes, tuple[Box, Tensor]] = {}
            for key, row in new.items():
                if (row.sum() * 2 >= row.size) != base:
                    continue
                box = _around([places[i] for i in np.flatnonzero(row != base)])
                if box is None:
                    known[key] = scorer.unchanged(picture)
                elif picture.helps(box):
                    inside = (..., *box.slices)
                    present = torch.from_numpy(row).to(scorer.device)[where[inside]]
                    local[key] = box, torch.where(present, image[inside], reference[inside])
            known.update(zip(local, scorer.together_near(picture, local.values()), strict=True))
        rest = {key: row for key, row in new.items() if key not in known}
        # A weight of 0 or 1 gives exactly the one or the other picture, several times faster than a choice does.
        masks = (torch.from_numpy(row).to(image)[where] for row in rest.values())
        pictures = (torch.lerp(reference, image, mask, out=place) for mask in masks)
        known.update(zip(rest, scorer.together(pictures), strict=True))
        return np.array([known[key] for key in keys])

    return value


def _around(places: list[tuple[slice, slice] | None]) -> Box | None:
    """The least box that holds all places there are; None of nothing."""
    held = [place for place in places if place is not None]
    if not held:
        return None
    rows, columns = zip(*held, strict=True)
    low = (min(s.start for s in axis) for axis in (rows, columns))
    high = (max(s.stop for s in axis) for axis in (rows, columns))
    return Box(*low, *high)


def region_game(
    scorer: Scorer, image: Tensor, segments: int, regions: str, baseline: str
) -> tuple[np.ndarray, int, Game]:
    """The regions of a picture and their game: labels (H, W), how many they are, and the function of coalitions.

    Raises:
        UserError: for unknown regions or baseline, or less than one segment.
    """
    fov = scorer.target.fov
    reference = scorer.reference(baseline, image)
    labels = superpixels(image, fov, segments, regions)
    return labels, int(labels.max()) + 1, game(scorer, image, reference, labels)
