"""The cooperative game that regions of a picture play for a score."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import torch
from scipy.ndimage import find_objects
from torch import Tensor

from xaibench.data.regions import superpixels
from xaibench.scorer.near import Box
from xaibench.scorer.scorer import Scorer

VALUES = 2**23  # of the pictures that are made at a time, 32 MB, so that a thousand coalitions need no gigabytes

Game = Callable[[np.ndarray], np.ndarray]


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
        values.extend(scorer.together(part))
    return np.array(values)


def _at_a_time(scorer: Scorer) -> int:
    """How many pictures: whole micro-batches, since what is left over goes through the network one by one."""
    micro = scorer.engine.micro_batch if scorer.engine else 1
    count = VALUES // (3 * scorer.target.mask.numel())
    return max(micro, count - count % micro, 1)


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
        masks = (torch.from_numpy(row).to(scorer.device)[where] for row in rest.values())
        pictures = (torch.where(mask, image, reference) for mask in masks)
        known.update(zip(rest, scores(scorer, pictures).tolist(), strict=True))
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
