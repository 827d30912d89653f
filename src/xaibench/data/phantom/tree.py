"""The vessel trees of a phantom, as geometry: where each vessel runs and how wide it is.

Each tree is grown by adding one vessel at a time towards the point that is farthest from all vessels so far, as in
constrained constructive optimisation [schreiner1993]; the radii then follow from the tips upwards.

All coordinates are (x, y) in px at 24 µm/px; the origin is the centre of the full camera field, y points down.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from xaibench.data.phantom.vessel import STEP, Forest, Vessel

FIELD_RADIUS = 270.0  # px, of the full camera field
AVASCULAR_RADIUS = 20.0  # px around the fovea
_FAR = 75.0  # px, the largest gap between vessels that counts


@dataclass(frozen=True)
class Anatomy:
    """The landmarks of an eye.

    Attributes:
        disc: (2,) centre of the optic disc.
        disc_radius: px.
        fovea: (2,) centre of the fovea.
    """

    disc: np.ndarray
    disc_radius: float
    fovea: np.ndarray


def place_landmarks(rng: np.random.Generator) -> Anatomy:
    """Draw a left or right eye; most are centred on the macula, some nearer to the disc."""
    nasal = float(rng.choice([-1.0, 1.0]))
    distance = rng.uniform(190, 210)
    tilt = math.radians(rng.normal(6, 4))  # the fovea lies a little below the disc
    shift = rng.uniform(-0.1, 0.12) if rng.random() < 0.65 else rng.uniform(0.12, 1.05)
    fovea = np.array([-nasal * shift * distance, rng.normal(5, 12)])
    disc = fovea + distance * np.array([nasal * math.cos(tilt), -math.sin(tilt)])
    return Anatomy(disc, rng.uniform(31.5, 41.0), fovea)


def grow_trees(rng: np.random.Generator, eye: Anatomy, field_radius: float = FIELD_RADIUS) -> list[Vessel]:
    """Grow the artery and vein trees, upper and lower, over the field of view and a little beyond.

    Args:
        rng: draws everything.
        eye: the landmarks.
        field_radius: px, of the disc about the origin that the trees fill.

    Returns:
        Vessels, parents before children.
    """
    growth = _Growth(Forest(rng, field_radius, crookedness=rng.uniform(0.018, 0.05)), eye)
    heights = rng.uniform(0.82, 1.2, 2)
    for side, full in zip((-1.0, 1.0), heights, strict=True):
        first = int(rng.integers(2))
        for rank, kind in enumerate((first, 1 - first)):
            height = full * (1 - rng.uniform(0.08, 0.24) * rank)
            trunk = growth.forest.add(growth.arcade(side, height, rank), kind, -1)
            growth.add_spokes(side, trunk)
    growth.fill()
    return growth.forest.vessels()


@dataclass(frozen=True)
class _Growth:
    """The vessels that grow in one eye.

    Attributes:
        forest: the vessels so far.
        eye: the landmarks.
    """

    forest: Forest
    eye: Anatomy

    def arcade(self, side: float, height: float, rank: int) -> np.ndarray:
        """(N, 2) temporal arcade: from the disc up or down (side -1 or 1), around the fovea and out of the field."""
        rng, temporal = self.forest.rng, self.eye.fovea - self.eye.disc
        along = np.array([0.0, 0.01, 0.1, 0.34, 0.75, 1.25, 1.75, 2.3, 3.2])
        up = np.array([0.0, 0.17, 0.42, 0.72, 0.93, 0.95, 0.86, 0.78, 0.7]) * height
        outer = rank * np.array([0.0, 0.09, 0.13, 0.13, 0.1, 0.06, 0.04, 0.04, 0.04])
        along = along + np.concatenate([[0, 0], np.cumsum(rng.normal(0, 0.06, 7))]) + outer
        up = up + np.concatenate([[0, 0], np.cumsum(rng.normal(0, 0.06, 7))])
        emerging = rng.normal(0, 0.1, 2) * self.eye.disc_radius - rng.uniform(0, 0.07) * temporal  # nasal in the cup
        start = self.eye.disc + emerging
        lift = up[:, None] * np.hypot(*temporal) * np.array([0.0, side])
        xy = _smooth_curve(start + along[:, None] * temporal + lift)
        # Lateral waves of 60-200 px: the gentle winding of a large vessel.
        waves = np.convolve(rng.normal(0, 1, len(xy) + 60), np.hanning(33) / 3.4, "same")[30:-30]
        tangent = np.gradient(xy, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        ramp = np.clip(np.arange(len(xy)) / 20, 0, 1)
        xy = xy + (rng.uniform(1.0, 2.6) * waves * ramp)[:, None] * tangent[:, ::-1] * [-1, 1]
        outside = np.flatnonzero(np.hypot(*xy.T) > self.forest.field_radius + 15)
        beyond = outside[outside > 60]
        return np.asarray(xy[: beyond[0]] if beyond.size else xy)

    def add_spokes(self, side: float, trunk: int) -> None:
        """Add the vessels that leave a trunk near the disc's rim: a large nasal one, and small ones to all sides."""
        forest, disc = self.forest, self.eye.disc
        rng, temporal, start = forest.rng, self.eye.fovea - disc, forest.bounds[trunk]
        kind = int(forest.kinds[start])
        clear = lambda xy: forest.is_clear(xy, kind)
        for number in range(int(rng.integers(3, 6))):
            towards = rng.uniform(-1, 0.1) if number == 0 or rng.random() < 0.6 else rng.uniform(0.2, 0.75)
            distance = rng.uniform(0.6, 1.1) if number == 0 else rng.uniform(0.25, 0.55)
            lift = side * math.sqrt(1 - towards**2) * np.hypot(*temporal)
            goal = disc + distance * (towards * temporal + [0, lift])
            near = np.arange(start + 4, start + 28)
            near = near[forest.free[near]]
            if near.size:
                at = int(rng.choice(near))
                forest.branch(at, goal, clear if number else lambda xy: True)

    def fill(self) -> None:
        """Add vessels towards the largest gap until every gap is smaller than the spacing wanted there."""
        forest, eye = self.forest, self.eye
        rng, field_radius = forest.rng, forest.field_radius
        n = int(2 * field_radius / 8)
        grid = np.stack(np.meshgrid(*[np.linspace(-field_radius - 6, field_radius + 6, n)] * 2), -1).reshape(-1, 2)
        grid = grid + rng.uniform(-4, 4, grid.shape)
        keep = np.hypot(*grid.T) < field_radius + 5
        keep &= np.hypot(*(grid - eye.fovea).T) > AVASCULAR_RADIUS + 5
        keep &= np.hypot(*(grid - eye.disc).T) > eye.disc_radius
        grid = grid[keep]
        spacing = rng.uniform(12.2, 16.8) * (1 + 0.45 * (np.hypot(*grid.T) / field_radius) ** 2)
        # Tissue is not supplied evenly, and observers do not label evenly: some patches stay bare.
        k = rng.normal(0, 1, (2, 8))  # of eight plane waves of 120-400 px
        k *= 2 * np.pi / (rng.uniform(120, 400, 8) * np.linalg.norm(k, axis=0))
        spacing *= np.exp(0.25 * np.cos(grid @ k + rng.uniform(0, 2 * np.pi, 8)).sum(1) / 2)
        # Near the fovea only small vessels end, so a gap there is never a large one.
        gap = np.minimum(np.full((2, len(grid)), _FAR), 0.45 * np.hypot(*(grid - eye.fovea).T))
        done = 0
        for _ in range(1500):
            for vessel in range(done, len(forest.origin)):
                of_kind = gap[forest.kinds[forest.bounds[vessel]]]
                nearest, _ = cKDTree(forest.course(vessel)[::2]).query(grid, distance_upper_bound=_FAR)
                np.minimum(of_kind, nearest, out=of_kind)
            done = len(forest.origin)
            # A gap counts from any vessel, and, since arteries and veins interlace, also from its own kind.
            need = np.minimum(gap.min(0), 0.7 * gap.max(0)) / spacing
            i = int(np.argmax(need))
            if need[i] < 1:
                break
            first = int(gap[1, i] > gap[0, i]) if rng.random() < 0.85 else int(rng.integers(2))
            if not any(self._connect(grid[i], kind) for kind in (first, 1 - first)):
                spacing[i] = np.inf

    def _connect(self, goal: np.ndarray, kind: int) -> bool:
        """Grow a vessel of this kind to the goal if a course exists that does not cross its own kind."""
        forest = self.forest
        n = forest.bounds[-1]
        free = np.flatnonzero(forest.free[:n] & (forest.kinds[:n] == kind))
        d = goal - forest.xy[free]
        length = np.hypot(*d.T)
        cosine = (d * forest.tangent[free]).sum(1) / np.maximum(length, 1e-6)
        # Blood takes a short way overall: the new stretch counts full, the way from the disc in part.
        cost = length * (1 + 0.5 * (1 - cosine) ** 2) + 0.22 * forest.way[free]
        cost = np.where((cosine < -0.1) | (length < 9), np.inf, cost * forest.rng.uniform(0.93, 1.07, len(cost)))
        candidates = itertools.takewhile(lambda j: np.isfinite(cost[j]), np.argsort(cost)[:30:6])

        def accepts(xy: np.ndarray) -> bool:
            """Not across its kind, nor near the fovea: a longer course, hence a larger vessel, needs more room."""
            room = np.clip(0.4 * STEP * len(xy), AVASCULAR_RADIUS + 2, _FAR)
            return forest.is_clear(xy, kind) and bool(np.hypot(*(xy - self.eye.fovea).T).min() > room)

        return any(forest.branch(int(free[j]), goal, accepts) for j in candidates)


def _smooth_curve(corners: np.ndarray) -> np.ndarray:
    """(N, 2) points every 2 px on a Catmull-Rom-like curve through the corners."""
    t = np.concatenate([[0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(corners, axis=0), axis=1)))])
    dense = CubicSpline(t, corners)(np.linspace(0, t[-1], 2000))
    s = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(dense, axis=0), axis=1))])
    at = np.arange(0, s[-1], STEP)
    return np.stack([np.interp(at, s, dense[:, 0]), np.interp(at, s, dense[:, 1])], 1)
