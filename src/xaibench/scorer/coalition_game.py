"""The cooperative game of an image's regions: the score of the image with only some of them present."""

import numpy as np
import torch
from torch import Tensor

from xaibench.data.regions import superpixels
from xaibench.scorer.local_forward import Box, box_of
from xaibench.scorer.scorer import Scorer


class CoalitionGame:
    """A function from coalitions, (N, n) of 0 and 1, to scores, (N,) float64.

    Absent regions are as in the reference. If the few absent, or the few present, regions lie close together, the score
    comes from a crop around them. A coalition that was scored before costs no pass: most methods ask for the empty and
    the full one many times.

    Args:
        scorer: network and target.
        image, reference: (3, H, W).
        labels: (H, W) int, the region of each pixel, see :func:`~xaibench.data.regions.superpixels`.
    """

    def __init__(self, scorer: Scorer, image: Tensor, reference: Tensor, labels: np.ndarray) -> None:
        self._scorer, self._labels = scorer, torch.from_numpy(labels).to(scorer.device)
        self._full, self._empty = scorer.local_forward(image), scorer.local_forward(reference)
        self._differs = (self._full.image != self._empty.image).any(0)
        self._scores: dict[bytes, float] = {}
        self._mixed = torch.empty_like(self._full.image)

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        """(N,) float64 scores of (N, n) coalitions."""
        rows = np.asarray(coalitions, bool)
        keys = [row.tobytes() for row in rows]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._scores}
        shared = self._scorer.shared
        for base in (self._full, self._empty):
            changes: dict[bytes, tuple[Box, Tensor]] = {}
            for key, row in new.items():
                if (row.sum() * 2 >= row.size) != (base is self._full):
                    continue
                changed = torch.from_numpy(row != (base is self._full)).to(self._labels.device)
                box = box_of(changed[self._labels] & self._differs)
                if box is None:  # no pixel differs from the base
                    self._scores[key] = shared.base_score(base)
                elif base.crop_for(box) is not None:
                    present = torch.from_numpy(row).to(self._labels.device)[self._labels[box.index]]
                    content = torch.where(present, self._full.image[box.index], self._empty.image[box.index])
                    changes[key] = box, content
            self._scores.update(zip(changes, shared.changed_scores(base, changes.values()), strict=True))
        rest = {key: row for key, row in new.items() if key not in self._scores}
        # lerp with a weight of exactly 0 or 1 copies one of the images, several times faster than torch.where.
        masks = (torch.from_numpy(row).to(self._mixed)[self._labels] for row in rest.values())
        images = (torch.lerp(self._empty.image, self._full.image, mask, out=self._mixed) for mask in masks)
        self._scores.update(zip(rest, shared.scores(images), strict=True))
        return np.array([self._scores[key] for key in keys])


def region_game(
    scorer: Scorer, image: Tensor, segments: int, regions: str, baseline: str
) -> tuple[np.ndarray, int, CoalitionGame]:
    """The regions of an image and their game: labels (H, W), number of regions, game.

    Raises:
        UserError: for unknown regions or baseline, or less than one segment.
    """
    reference = scorer.reference(baseline, image)
    labels = superpixels(image, scorer.target.fov, segments, regions)
    return labels, int(labels.max()) + 1, CoalitionGame(scorer, image, reference, labels)
