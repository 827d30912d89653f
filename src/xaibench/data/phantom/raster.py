"""Rasterised vessel trees: the pixels that vessels cover, the radius there, and the optical depth of the blood."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from xaibench.data.phantom.vessel import ARTERY, VEIN, Vessel

_SAMPLING = 0.5  # px between the samples of a centreline

# Contrast on the centreline by radius in px, before the blur of the optics lowers it.
_RADII = np.array([0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 3.0, 4.0, 5.5])
_CONTRAST = np.array([0.069, 0.09, 0.122, 0.167, 0.21, 0.215, 0.31, 0.40, 0.46])


@dataclass(frozen=True)
class Raster:
    """Vessels on the pixel grid.

    Attributes:
        vessels: (H, W) bool.
        radius: (H, W) px, 0 off the vessels.
        depth: (H, W) optical depth of the blood in the green channel.
        reflex: (H, W) strength of the light streak along the centreline.
    """

    vessels: np.ndarray
    radius: np.ndarray
    depth: np.ndarray
    reflex: np.ndarray


def rasterise(rng: np.random.Generator, trees: list[Vessel], shape: tuple[int, int], origin: np.ndarray) -> Raster:
    """Draw the trees on a pixel grid.

    Args:
        rng: draws how dark each vessel is.
        trees: the vessels.
        shape: (H, W).
        origin: (2,) pixel (x, y) of the trees' coordinate origin.
    """
    union = np.full(shape, np.inf)
    radius, depth, reflex = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    overall = np.exp(rng.normal(0, 0.12))
    # Blood does not fill the labelled width exactly: observers draw vessels wider or narrower, each in their own way.
    margin = rng.uniform(-0.6, 0.2)
    for kind in (VEIN, ARTERY):
        samples = _samples(rng, [v for v in trees if v.kind == kind], kind)
        samples[:, :2] += origin
        samples = samples[((samples[:, :2] > -12) & (samples[:, :2] < np.array(shape[::-1]) + 11)).all(1)]
        if not len(samples):
            continue
        i, j, nearest, power, distance = _nearest(samples[:, :2], samples[:, 2], shape)
        r, dark, shine = samples[nearest, 2:].T
        closer = power < union[i, j]
        union[i, j] = np.minimum(union[i, j], power)
        radius[i, j] = np.where(closer, r, radius[i, j])
        lumen = r + margin * np.clip(r - 0.5, 0, 1)
        chord = np.sqrt(np.clip(1 - (distance / lumen) ** 2, 0, None))  # of light through a cylinder of blood
        depth[i, j] = np.maximum(depth[i, j], dark * overall * chord)
        streak = shine * np.exp(-0.5 * (distance / (0.25 * r + 0.15)) ** 2)
        # The upper vessel hides the lower one's streak.
        reflex[i, j] = np.where(power < 0, streak, np.maximum(reflex[i, j], streak))
    vessels = union <= 0
    return Raster(vessels, np.where(vessels, radius, 0.0), depth, reflex)


def _samples(rng: np.random.Generator, vessels: list[Vessel], kind: int) -> np.ndarray:
    """(N, 5): x, y, radius, optical depth and streak strength every half pixel along all centrelines of one kind."""
    parts = [np.zeros((0, 5))]
    streaky = rng.uniform(0.1, 0.85) if kind == ARTERY else rng.uniform(0.0, 0.45)
    paler = rng.uniform(0.72, 0.9) if kind == ARTERY else 1.12
    for vessel in vessels:
        n = len(vessel.xy)
        t = np.arange(0, n - 1 + 1e-9, _SAMPLING / 2.0)
        x, y, r = (np.interp(t, np.arange(n), values) for values in (*vessel.xy.T, vessel.radius))
        # Thin vessels differ much more among themselves, and fade in and out with their depth in the tissue.
        spread = np.interp(r, [0.6, 1.2, 3.0], [0.55, 0.36, 0.2])
        knots = rng.normal(0, 1, n // 20 + 3)
        along = np.interp(t, np.linspace(0, n, len(knots)), knots)
        pale = np.exp(spread * (0.85 * rng.normal() + 0.45 * along) - 0.5 * spread**2)
        peak = np.clip(np.interp(r, _RADII, _CONTRAST) * pale * paler, 0.005, 0.75)
        shine = streaky * np.clip((r - 1.2) / 1.3, 0, 1) * rng.uniform(0.6, 1.3)
        parts.append(np.column_stack([x, y, r, -np.log1p(-peak), shine]))
    return np.concatenate(parts)


def _nearest(xy: np.ndarray, r: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Row and column of the pixels near vessels, and for each the sample of least power, that power and the distance.

    The power of a sample is d² − r² in px², with the distance d in px. A pixel lies in the union of all discs exactly
    if the least power is not positive. Lifting each sample to the height √(R² − r²) turns the search into a search for
    the nearest neighbour.
    """
    empty = np.ones(shape, bool)
    cells = np.rint(xy).astype(int)
    inside = ((cells >= 0) & (cells < np.array(shape[::-1]))).all(1)
    empty[cells[inside, 1], cells[inside, 0]] = False
    largest = float(r.max())
    i, j = np.nonzero(distance_transform_edt(empty) <= largest + 1.5)
    height = np.sqrt(np.maximum(largest**2 - r**2, 0))  # rounding can take it below 0 where r is the largest
    tree = cKDTree(np.column_stack([xy, height]), balanced_tree=False, compact_nodes=False)
    lifted, nearest = tree.query(np.column_stack([j, i, np.zeros(len(i))]))
    distance = np.hypot(j - xy[nearest, 0], i - xy[nearest, 1])
    return i, j, nearest, lifted**2 - largest**2, distance
