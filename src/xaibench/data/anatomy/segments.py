"""Vessel segments: vessels cut at their junctions, each with one width and one contrast."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, convolve, distance_transform_edt, label, maximum_position, median
from scipy.sparse.csgraph import dijkstra
from skimage.graph import pixel_graph
from skimage.morphology import skeletonize

from xaibench.data.anatomy.caliber import MARGIN, is_thin
from xaibench.data.anatomy.contrast import weber_contrast
from xaibench.data.case import Case

_AROUND = np.ones((3, 3), int)  # a pixel and its eight neighbours
_NEAR = 1.5  # px: a pixel and its eight neighbours, as a distance


@dataclass(frozen=True, eq=False)
class Segments:
    """The vessel segments of a case, numbered 0 … n − 1.

    Attributes:
        labels: (H, W) int32, the segment of each vessel pixel; −1 elsewhere.
        centreline: (H, W) int32, the segment at each pixel of its centreline; −1 elsewhere.
        caliber: (n,) median radius along the centreline, px.
        contrast: (n,) mean local Weber contrast along the centreline; NaN where no pixel of it has a contrast.
        length: (n,) px along the centreline, from one end to the other with diagonal steps of √2; 1 for a single pixel.
        pixels: (n,) int, the area, px.
        thin: (n,) bool, radius <= 1.5 px at DRIVE's scale.
        y, x: (n,) int, the middle of the centreline.
    """

    labels: np.ndarray
    centreline: np.ndarray
    caliber: np.ndarray
    contrast: np.ndarray
    length: np.ndarray
    pixels: np.ndarray
    thin: np.ndarray
    y: np.ndarray
    x: np.ndarray

    def __len__(self) -> int:
        return int(self.pixels.size)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """(n,) mean of an (H, W) array over the pixels of each segment."""
        return mean_by(self.labels, values, len(self))

    def detected(self, probability: np.ndarray) -> np.ndarray:
        """(n,) bool: at least half of the centreline has a probability >= .5.

        Args:
            probability: (H, W) in [0, 1], a network's prediction.
        """
        on = self.centreline >= 0
        hit = np.bincount(self.centreline[on], probability[on] >= 0.5, len(self))
        return np.asarray(2 * hit >= np.bincount(self.centreline[on], minlength=len(self)))


def mean_by(labels: np.ndarray, values: np.ndarray, count: int = 0) -> np.ndarray:
    """(n,) mean of an (H, W) array over the pixels of each label 0 … n − 1; NaN for one without pixels.

    Args:
        labels: (H, W) int, −1 for pixels that do not count.
        values: (H, W).
        count: n, if the last labels may have no pixels.
    """
    inside = labels >= 0
    of = labels[inside]
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN that is meant
        mean: np.ndarray = np.bincount(of, values[inside].astype(np.float64), count) / np.bincount(of, minlength=count)
    return mean


def vessel_segments(case: Case) -> Segments:
    """Cut the labelled vessels of a case into segments.

    The skeleton is cut where three or more of its branches meet, over a length of the vessel's own radius: inside a
    wide vessel the skeleton of a branch is not yet the branch's centreline. Where only two branches leave (the third is
    a spur of the skeleton that does not leave the vessel) nothing is cut. Every vessel pixel, also of a junction,
    belongs to the segment with the nearest centreline pixel. Segments of any length count: on DRIVE's test images a
    quarter of them is shorter than 10 px, which together is 4 % of the length.

    Args:
        case: its vessels, caliber, green channel, field of view and scale are used.

    Example:
        >>> from xaibench.data.case import make_case
        >>> cross = np.zeros((41, 41), bool); cross[20] = True; cross[:, 20] = True
        >>> case = make_case("cross", np.full((3, 41, 41), 0.5), cross, np.ones((41, 41), bool), scale=1.0)
        >>> vessel_segments(case).length.tolist()
        [18.0, 18.0, 18.0, 18.0]
    """
    fov = case.fov.numpy()
    vessels, caliber = case.vessels.numpy() & fov, case.caliber.numpy()
    centreline, count = _centrelines(vessels, caliber)
    on = centreline >= 0
    numbers, names = centreline[on], np.arange(count)
    labels = np.full(vessels.shape, -1, np.int32)
    if count:
        nearest = distance_transform_edt(~on, return_distances=False, return_indices=True)
        labels[vessels] = centreline[tuple(nearest)][vessels]
    contrast = weber_contrast(case.image[1].numpy(), vessels, fov, scale=case.scale)
    radius = np.asarray(median(caliber[on], numbers, names), float) if count else np.zeros(0)
    length, middle = _lengths(centreline, count)
    return Segments(
        labels=labels,
        centreline=centreline,
        caliber=radius,
        contrast=mean_by(np.where(np.isfinite(contrast), centreline, -1), contrast, count),
        length=length,
        pixels=np.bincount(labels[vessels], minlength=count),
        thin=is_thin(radius, case.scale),
        y=middle[0],
        x=middle[1],
    )


def _centrelines(vessels: np.ndarray, caliber: np.ndarray) -> tuple[np.ndarray, int]:
    """(H, W) int32 numbers along the centrelines, −1 elsewhere, and how many segments there are."""
    skeleton = _skeleton(vessels)
    # At a junction a pixel has three neighbours, but so has a corner of a single line. They differ in the number of
    # branches that leave.
    crowded = skeleton & (convolve(skeleton.astype(np.uint8), _AROUND, mode="constant") > 3)
    if crowded.any():
        away, nearest = distance_transform_edt(~crowded, return_indices=True)
        zone = skeleton & (away <= np.maximum(caliber[tuple(nearest)], _NEAR))
        skeleton &= ~(zone & _is_junction(zone, skeleton & ~zone))
    numbers, count = label(skeleton, _AROUND)
    return numbers.astype(np.int32) - 1, int(count)


def _skeleton(vessels: np.ndarray) -> np.ndarray:
    """(H, W) bool with at least one pixel in each connected part of the vessels."""
    inside = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    padded = np.pad(vessels, MARGIN, mode="edge")  # as for the caliber
    skeleton: np.ndarray = skeletonize(padded)[inside].copy()
    parts, count = label(vessels, _AROUND)
    bare = np.setdiff1d(np.arange(1, count + 1), parts[skeleton])  # only touches the image; its axis is outside
    for place in maximum_position(distance_transform_edt(padded)[inside], parts, bare):
        skeleton[place] = True
    return skeleton


def _is_junction(zone: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels in connected zones from which at least three branches of the rest leave."""
    zones, count = label(np.pad(zone, 1), _AROUND)
    ends, _ = label(rest & binary_dilation(zone, _AROUND), _AROUND)
    y, x = np.nonzero(ends)
    contacts = [
        np.stack([zones[y + 1 + dy, x + 1 + dx], ends[y, x]]) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx
    ]
    zone_of, _end = np.unique(np.concatenate(contacts, axis=1), axis=1)
    branches = np.bincount(zone_of, minlength=count + 1)
    branches[0] = 0  # label 0 is no zone
    return np.asarray(branches[zones[1:-1, 1:-1]] >= 3)


def _lengths(centreline: np.ndarray, count: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(n,) length of each segment's centreline, and the (y, x) of its middle.

    From any pixel to the farthest one, and from there to the farthest again: in a line without loops this is its whole
    length (a ring without a branch gives half its way round).
    """
    y, x = np.nonzero(centreline >= 0)
    if not count:
        return np.zeros(0), (y, x)
    numbers = centreline[y, x]
    graph, _pixels = pixel_graph(centreline >= 0, connectivity=2)
    last = np.cumsum(np.bincount(numbers)) - 1  # of each segment in an order by number
    _numbers, first = np.unique(numbers, return_index=True)
    for _sweep in range(2):
        away = dijkstra(graph, indices=first, min_only=True)
        first = np.lexsort((away, numbers))[last]
    length = away[first]
    middle = np.lexsort((-np.abs(away - length[numbers] / 2), numbers))[last]
    return length + 1, (y[middle], x[middle])
