"""Measures that several tests of data take: overlap of masks, and statistics pooled over images."""

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import distance_transform_edt
from skimage.morphology import skeletonize

from xaibench.data.anatomy.contrast import weber_contrast
from xaibench.data.case import Case


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((first & second).sum() / (first | second).sum())


def centreline_width_and_contrast(cases: Iterable[Case]) -> tuple[np.ndarray, np.ndarray]:
    """The width, 2·EDT − 1 px, and the Weber contrast at every centreline pixel of all cases."""
    width, contrast = [], []
    for case in cases:
        vessels = case.vessels.numpy()
        skeleton = skeletonize(vessels)
        width.append((2 * distance_transform_edt(vessels) - 1)[skeleton])
        contrast.append(weber_contrast(case.image[1].numpy(), vessels, case.fov.numpy())[skeleton])
    return np.concatenate(width), np.concatenate(contrast)


def mean_contrast_by_width(width: np.ndarray, contrast: np.ndarray) -> list[float]:
    """Of the centreline pixels of vessels up to 1 px wide, and of more than 1, 3, 5 and 7 px."""
    group = np.digitize(width, [1, 3, 5, 7], right=True)
    return [float(np.nanmean(contrast[group == i])) for i in range(5)]
