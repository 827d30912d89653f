"""From vessel trees to pixels: which pixels a vessel covers, how wide it is there, and how dark it looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from xaibench.data.phantom.vessel import ARTERY, VEIN, Vessel

_SAMPLE = 0.5  # px between the samples of a centreline

# Contrast of a vessel's middle by its radius in px, before the blur of the optics takes its part.
_RADII = np.array([0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 3.0, 4.0, 5.5])
_DEPTH = np.array([0.069, 0.09, 0.122, 0.167, 0.21, 0.215, 0.31, 0.40, 0.46])


@dataclass(frozen=True)
class Raster:
    """Vessels on the pixel grid.

    Attributes:
        vessels: (H, W) bool.
        radius: (H, W) px, 0 off the vessels.
        depth: (H, W) optical depth of the blood in the green channel.
        reflex: (H, W) strength of the light streak along the vessels' middle.
    """

    vessels: np.ndarray
    radius: np.ndarray
    depth: np.ndarray
    reflex: np.ndarray


def rasterise(rng: np.random.Generator, trees: list[Vessel], shape: tuple[int, int], origin: np.ndarray) -> Raster:
    """Draw the trees.

    Args:
        rng: draws how dark each vessel is.
        trees: the vessels.
        shape: (H, W).
        origin: (2,) pixel (x, y) at which the trees' coordinate origin lies.
    """
    union = np.full(shape, np.inf)
    radius, depth, reflex = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    overall = np.exp(rng.normal(0, 0.12))
    # Blood does not fill the labelled width exactly: observers draw it wider or narrower, each in their own way.
    margin = rng.uniform(-0.6, 0.2)
    for kind in (VEIN, ARTERY):
        xy, r, dark, shine = _samples(rng, [v for v in trees if v.kind == kind], kind)
        xy = xy + origin
        seen = ((xy > -12) & (xy < np.array(shape[::-1]) + 11)).all(1)
        xy, r, dark, shine = xy[seen], r[seen], dark[seen] * overall, shine[seen]
        if not len(xy):
            continue
        pixels, nearest, power, distance = _nearest(xy, r, shape)
        i, j = pixels
        closer = power < union[i, j]
        union[i, j] = np.minimum(union[i, j], power)
        radius[i, j] = np.where(closer, r[nearest], radius[i, j])
        lumen = r[nearest] + margin * np.clip(r[nearest] - 0.5, 0, 1)
        chord = np.sqrt(np.clip(1 - (distance / lumen) ** 2, 0, None))  # of light through a cylinder of blood
        depth[i, j] = np.maximum(depth[i, j], dark[nearest] * chord)
        streak = shine[nearest] * np.exp(-0.5 * (distance / (0.25 * r[nearest] + 0.15)) ** 2)
        # The upper vessel hides the lower one's streak.
        reflex[i, j] = np.where(power < 0, streak, np.maximum(reflex[i, j], streak))
    vessels = union <= 0
    return Raster(vessels, np.where(vessels, radius, 0.0), depth, reflex)


def _samples(
    rng: np.random.Generator, trees: list[Vessel], kind: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions, radii, optical depths and streak strengths every half pixel along all centrelines."""
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    streaky = rng.uniform(0.1, 0.85) if kind == ARTERY else rng.uniform(0.0, 0.45)
    paler = rng.uniform(0.72, 0.9) if kind == ARTERY else 1.12
    for vessel in trees:
        n = len(vessel.xy)
        t = np.arange(0, n - 1 + 1e-9, _SAMPLE / 2.0)
        xy = np.stack([np.interp(t, np.arange(n), vessel.xy[:, k]) for k in (0, 1)], 1)
        r = np.interp(t, np.arange(n), vessel.radius)
        # Thin vessels differ much more among themselves, and fade in and out with their depth in the tissue.
        spread = np.interp(r, [0.6, 1.2, 3.0], [0.55, 0.36, 0.2])
        knots = rng.normal(0, 1, n // 20 + 3)
        along = np.interp(t, np.linspace(0, n, len(knots)), knots)
        pale = np.exp(spread * (0.85 * rng.normal() + 0.45 * along) - 0.5 * spread**2)
        peak = np.clip(np.interp(r, _RADII, _DEPTH) * pale * paler, 0.005, 0.75)
        shine = streaky * np.clip((r - 1.2) / 1.3, 0, 1) * rng.uniform(0.6, 1.3)
        parts.append((xy, r, -np.log1p(-peak), shine))
    if not parts:
        return np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0)
    xy, r, dark, shine = (np.concatenate(column) for column in zip(*parts, strict=True))
    return xy, r, dark, shine


def _nearest(
    xy: np.ndarray, r: np.ndarray, shape: tuple[int, int]
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """For the pixels near vessels: the sample of least power d² - r², that power, and the distance d.

    A pixel lies in the union of all discs exactly if the least power is not positive. Lifting each sample to the height
    √(R² - r²) turns the search into an ordinary one for the nearest neighbour.
    """
    marks = np.ones(shape, bool)
    cells = np.rint(xy).astype(int)
    inside = ((cells >= 0) & (cells < np.array(shape[::-1]))).all(1)
    marks[cells[inside, 1], cells[inside, 0]] = False
    top = float(r.max())
    i, j = np.nonzero(distance_transform_edt(marks) <= top + 1.5)
    height = np.sqrt(np.maximum(top**2 - r**2, 0))  # rounding can take it below 0 where r is the largest
    tree = cKDTree(np.column_stack([xy, height]), balanced_tree=False, compact_nodes=False)
    lifted, nearest = tree.query(np.column_stack([j, i, np.zeros(len(i))]))
    distance = np.hypot(j - xy[nearest, 0], i - xy[nearest, 1])
    return (i, j), nearest, lifted**2 - top**2, distance
