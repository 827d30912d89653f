"""The vessels of a phantom, added one after another: forks, courses and radii.

At a fork the daughters part at about 78° and the radii obey r0^x = r1^x + r2^x with x = 2.55 ([murray1926]; the
exponent as measured on retinas, [aldiri2010]); a smaller daughter turns the parent less [zamir1976].
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MURRAY_EXPONENT = 2.55
BIFURCATION_ANGLE = 78.0  # degrees between the two daughters
ARTERY, VEIN = 0, 1
STEP = 2.0  # px between the points of a vessel
_REACH = 7  # points to each side of a fork that its bend moves
_CLEARANCE = 4  # px that two vessels of one kind keep between their centrelines
_MARGIN = 110  # px around the field where vessels may still wander
_TAPER = 0.0004  # px of radius per px towards the tip, of a vessel that branches or leaves the field


@dataclass(frozen=True)
class Vessel:
    """One unbranched course, from where it leaves its parent to its tip.

    Attributes:
        kind: ``ARTERY`` or ``VEIN``.
        xy: (N, 2) centreline, about 2 px apart.
        radius: (N,) px.
        parent: index of the vessel it leaves, -1 for the trunk of a tree.
        at: index of the parent's point it leaves from; the parent's radius drops between that point and the next.
    """

    kind: int
    xy: np.ndarray
    radius: np.ndarray
    parent: int
    at: int


class Forest:
    """All vessels so far, in flat arrays with one entry per point of a centreline.

    Args:
        rng: draws courses, angles and radii.
        field_radius: px, of the disc about the origin that the vessels fill.
        crookedness: radians per step, s.d. of a vessel's wobble.
    """

    def __init__(self, rng: np.random.Generator, field_radius: float, crookedness: float) -> None:
        size = 40_000  # points to begin with, as many as an eye of DRIVE's size takes
        self.rng = rng
        self.field_radius = field_radius
        self.crookedness = crookedness
        self.xy = np.zeros((size, 2))
        self.tangent = np.zeros((size, 2))
        self.way = np.zeros(size)  # px from the disc along the vessels
        self.kinds = np.zeros(size, int)
        self.free = np.zeros(size, bool)  # where another vessel may leave
        self.bounds = [0]  # flat index of each vessel's first point, and at last the number of points
        self.origin: list[int] = []  # flat index of the point each vessel leaves, -1 for trunks
        self._half = int(field_radius) + _MARGIN
        self._taken = np.zeros((2, 2 * self._half + 1, 2 * self._half + 1), bool)
        y, x = np.mgrid[-_CLEARANCE : _CLEARANCE + 1, -_CLEARANCE : _CLEARANCE + 1]
        inside = x * x + y * y <= _CLEARANCE**2
        self._stamp = np.stack([x[inside], y[inside]], 1)

    def add(self, xy: np.ndarray, kind: int, origin: int) -> int:
        """Append a vessel that leaves point ``origin`` (-1: none); returns its index."""
        a, b = self.bounds[-1], self.bounds[-1] + len(xy)
        while b > len(self.xy):
            for name in ("xy", "tangent", "way", "kinds", "free"):
                values = getattr(self, name)
                setattr(self, name, np.concatenate([values, np.zeros_like(values)]))
        self.xy[a:b] = xy
        tangent = np.gradient(xy, axis=0)
        self.tangent[a:b] = tangent / np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        self.way[a:b] = np.arange(len(xy)) * STEP + (self.way[origin] if origin >= 0 else 0)
        self.kinds[a:b] = kind
        self.free[a + _REACH : b - 3] = True
        if origin >= 0:
            self.free[max(origin - _REACH, 0) : origin + _REACH + 1] = False
        self.bounds.append(b)
        self.origin.append(origin)
        cells = (np.rint(xy).astype(int)[:, None] + self._stamp[None]).reshape(-1, 2) + self._half
        cells = cells[((cells >= 0) & (cells <= 2 * self._half)).all(1)]
        self._taken[kind, cells[:, 1], cells[:, 0]] = True
        return len(self.origin) - 1

    def branch(self, at: int, goal: np.ndarray, accepts: Callable[[np.ndarray], bool]) -> bool:
        """Grow a vessel of the parent's kind from the point ``at`` to the goal and bend the parent at the fork.

        Args:
            at: flat index of the parent's point.
            goal: (2,).
            accepts: decides from the (N, 2) course whether the vessel is added.

        Returns:
            Whether it was added.
        """
        shift, heading = self._fork(at, goal)
        xy = self._walk(self.xy[at] + shift, heading, goal)
        if not accepts(xy):
            return False
        # Towards the new vessel before the fork, away from it after.
        i = np.arange(max(at - _REACH, 0), at + _REACH + 1)
        self.xy[i] += ((1 - np.abs(i - at) / (_REACH + 1)) ** 2)[:, None] * shift
        self.add(xy, int(self.kinds[at]), at)
        return True

    def course(self, vessel: int) -> np.ndarray:
        """(N, 2) centreline of a vessel."""
        return self.xy[slice(*self.bounds[vessel : vessel + 2])]

    def is_clear(self, xy: np.ndarray, kind: int) -> bool:
        """Whether a course meets no vessel of its own kind after its fork, and crosses the other kind at most once."""
        cells = np.rint(xy).astype(int) + self._half
        if cells.min() < 0 or cells.max() > 2 * self._half:
            return False
        j, i = cells.T
        beyond = np.hypot(*(xy - xy[0]).T) > 10
        if self._taken[kind, i, j][beyond].any() or not beyond.any():
            return False
        crossed = int(self._taken[1 - kind, i, j][beyond].sum())
        return crossed == 0 or (crossed <= 7 and len(xy) > 25)

    def vessels(self) -> list[Vessel]:
        """All vessels with their radii, computed from the tips upwards."""
        children = {origin: v for v, origin in enumerate(self.origin) if origin >= 0}
        radius = np.zeros(self.bounds[-1])
        for vessel in reversed(range(len(self.origin))):
            r, slope = self._tip(vessel)
            for i in reversed(range(*self.bounds[vessel : vessel + 2])):
                if i in children:
                    branch = radius[self.bounds[children[i]]]
                    r = (r**MURRAY_EXPONENT + branch**MURRAY_EXPONENT) ** (1 / MURRAY_EXPONENT)
                    slope = _TAPER
                radius[i] = r
                r += slope * STEP
        grown = []
        for (a, b), origin in zip(itertools.pairwise(self.bounds), self.origin, strict=True):
            parent = self._vessel_at(origin) if origin >= 0 else -1
            at = origin - self.bounds[parent] if origin >= 0 else -1
            grown.append(Vessel(int(self.kinds[a]), self.xy[a:b].copy(), radius[a:b].copy(), parent, at))
        return grown

    def _fork(self, at: int, goal: np.ndarray) -> tuple[np.ndarray, float]:
        """How a vessel to ``goal`` leaves the point ``at``: (2,) px by which the point moves, and its first heading."""
        onward = self.way[self.bounds[self._vessel_at(at) + 1] - 1] - self.way[at]
        tx, ty = self.tangent[at]
        gx, gy = goal - self.xy[at]
        side = 1.0 if tx * gy - ty * gx > 0 else -1.0
        angle = math.radians(self.rng.normal(BIFURCATION_ANGLE, 8))
        # The parent is turned away by half the angle if both daughters supply as much, by less if the new one is small.
        turn = 0.5 * angle * min(1.0, math.hypot(gx, gy) / max(onward, 1.0))
        lift = turn * _REACH * STEP / 4
        return side * lift * np.array([-ty, tx]), math.atan2(ty, tx) + side * (angle - turn / 2)

    def _tip(self, vessel: int) -> tuple[float, float]:
        """(radius at the tip in px, taper per px towards it)."""
        rng, (start, end) = self.rng, self.bounds[vessel : vessel + 2]
        thinner = 0.92 if self.kinds[start] == ARTERY else 1.0
        if math.hypot(*self.xy[end - 1]) > self.field_radius:  # it goes on outside the field
            trunk = self.origin[vessel] < 0
            wide = rng.uniform(1.2, 1.6) if trunk else rng.uniform(1.0, 1.5) + min((end - start) / 180, 0.7)
            return thinner * wide, _TAPER
        return thinner * rng.uniform(0.6, 0.8), min(0.2 / ((end - start) * STEP), 0.008)

    def _vessel_at(self, point: int) -> int:
        return int(np.searchsorted(self.bounds, point, "right")) - 1

    def _walk(self, origin: np.ndarray, heading: float, goal: np.ndarray) -> np.ndarray:
        """(N, 2) course from the origin to the goal: first straight, then turning gently, with correlated wobble."""
        (x, y), (gx, gy) = map(float, origin), map(float, goal)
        wobble = 0.0
        course = [(x, y)]
        limit = int(1.7 * math.hypot(gx - x, gy - y) / STEP) + 6
        for step, kick in enumerate(self.rng.normal(0, self.crookedness, limit)):
            wobble = 0.86 * wobble + kick
            if step >= 3:
                off = math.atan2(gy - y, gx - x) - heading
                off = (off + math.pi) % (2 * math.pi) - math.pi
                if abs(off) > 1.2 and math.hypot(gx - x, gy - y) < 24:
                    break  # turning round to hit the goal would draw a curl
                heading += max(-0.13, min(0.13, 0.11 * off)) + wobble
            x += STEP * math.cos(heading)
            y += STEP * math.sin(heading)
            course.append((x, y))
            if math.hypot(gx - x, gy - y) < 3:
                break
        return np.array(course)
