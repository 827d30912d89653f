"""Error of a map against the exact Shapley values of a small game played by the run's own network."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from xaibench.data.case import Case
from xaibench.data.regions import busiest_window
from xaibench.errors import Skipped, UserError
from xaibench.metrics.method import Method
from xaibench.metrics.score import Score
from xaibench.parameter_checks import at_least
from xaibench.registry import metric
from xaibench.scorer import Scorer, target
from xaibench.scorer.coalition_game import CoalitionGame

TILES = (3, 4)  # rows and columns; 2¹² coalitions
PLAYERS = TILES[0] * TILES[1]
NOTHING = 1e-6  # logits; smaller values of all regions are rounding noise
BUDGETS = ("samples", "permutations")  # parameters that set the sampling budget of a method
PARTS = (4, 2, 1)  # divisors of the budget, for the curve


@dataclass(frozen=True, eq=False)
class Window:
    """The window that is explained.

    Attributes:
        case: the cropped case.
        scorer: the run's network with its predicted vessels in the window as target.
        labels: (h, w) int64, the tile of each pixel.
    """

    case: Case
    scorer: Scorer
    labels: np.ndarray


@metric("shapley-error", family="truth", better="lower", range=(0, 1), measures="method", paper="shapley1953")
def shapley_error(case: Case, scorer: Scorer, *, method: Method, window: int = 128) -> Score:
    """Relative error of a map's sums over 12 regions against their exact Shapley values [shapley1953].

    The players are 3 × 4 tiles of a window of the image, the square with the most vessel pixels. The score is the mean
    logit of the run's own network over its predicted vessels in the window; an absent tile is replaced by the method's
    baseline (``blur`` for methods without one). The method explains the same window. With φ the exact values and φ̂ the
    sums of the map over the tiles, the value is ‖β φ̂ - φ‖ / ‖φ‖ with the best β ≥ 0, since many methods do not fix the
    scale of their maps: 0 if φ̂ is proportional to φ, 1 if the map is all zero or has the opposite sign. For unsigned
    methods φ is the absolute value. A constant map scores as the areas of the tiles. Sums are over the field of view.

    A method's own regions are not these tiles; the sums of its map are compared in any case. For methods with a
    parameter ``samples`` or ``permutations`` the curve is the error over the passes of a quarter, half and all of that
    budget. A tile outside the field of view is a null player.

    Args:
        case: the image.
        scorer: the network; it caches the exact values (4096 passes of the window) for all methods.
        method: the explainer.
        window: side of the window, px; at most the side of the image.

    Raises:
        UserError: if the window is too small for the tiles.
        Skipped: if the network predicts no vessel in the window, hiding the tiles changes nothing, or the method cannot
            explain the window.
    """
    at_least(max(TILES), "window", window)
    view = scorer.cache.get(_cut, case, scorer, window)
    baseline = method.baseline
    exact = scorer.cache.get(_exact, view, baseline)
    if np.linalg.norm(exact) < NOTHING:
        raise Skipped(f"hiding the tiles of the window ({baseline}) changes the score by nothing")
    truth = exact if method.spec.plugin.traits.signed else np.abs(exact)
    budget = next((p for p in BUDGETS if isinstance(method.spec.parameters.get(p), int)), None)
    if budget is None:
        return Score(_measured(view, method, truth)[1])
    points = []
    for part in PARTS:
        samples = max(1, method.spec.parameters[budget] // part)
        fewer = replace(method, spec=method.spec.with_parameters(**{budget: samples})) if part > 1 else method
        try:
            points.append(_measured(view, fewer, truth))
        except Skipped:
            if part == 1:
                raise  # a smaller budget may be refused: the curve begins later
    passes, errors = zip(*points, strict=True)
    rising = len(passes) > 1 and all(a < b for a, b in pairwise(passes))
    return Score(errors[-1], (passes, errors) if rising else None)


def coalitions(players: int) -> np.ndarray:
    """(2ⁿ, n) bool, all coalitions; row r contains the players whose bit is set in r.

    Example:
        >>> coalitions(2).astype(int).tolist()
        [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def shapley_values(values: np.ndarray) -> np.ndarray:
    """Exact Shapley values of a game [shapley1953]:  φ_i = Σ_S |S|! (n - |S| - 1)! / n! (v(S ∪ i) - v(S)).

    Args:
        values: (2ⁿ,) the score of each coalition, in the order of :func:`coalitions`.

    Returns:
        (n,) float64; they sum to the score of all players minus that of none.

    Example:
        >>> shapley_values(np.array([0.0, 1.0, 2.0, 5.0])).tolist()
        [2.0, 3.0]
    """
    players = int(values.size).bit_length() - 1
    present = coalitions(players)
    factorial = [math.factorial(k) for k in range(players + 1)]
    weight = np.array([factorial[s] * factorial[players - s - 1] / factorial[players] for s in range(players)])
    rows = np.arange(values.size)
    without = [rows[~present[:, i]] for i in range(players)]
    gains = ((values[r + (1 << i)] - values[r]) @ weight[present[r].sum(1)] for i, r in enumerate(without))
    return np.array(list(gains))


def relative_error(sums: np.ndarray, truth: np.ndarray) -> float:
    """‖β sums - truth‖ / ‖truth‖ with the best β ≥ 0, in [0, 1].

    Example:
        >>> relative_error(np.array([2.0, 0.0]), np.array([3.0, 4.0]))
        0.8
    """
    scale = np.abs(sums).max()
    if scale == 0:
        return 1.0
    sums = sums / scale
    best = max(0.0, float(sums @ truth) / float(sums @ sums))
    return min(1.0, float(np.linalg.norm(best * sums - truth) / np.linalg.norm(truth)))


def best_window(vessels: np.ndarray, fov: np.ndarray, side: int) -> tuple[slice, slice]:
    """The square with the most vessel pixels; ties go to the most field of view, then to the first.

    Args:
        vessels, fov: (H, W) bool.
        side: px; the square is cut to the image.
    """
    return busiest_window(vessels.astype(np.int64) * (fov.size + 1) + fov, side)


def _cut(case: Case, scorer: Scorer, side: int) -> Window:
    rows, columns = best_window(case.vessels.numpy(), case.fov.numpy(), side)
    part = case.transformed(lambda t: t[..., rows, columns], f"{case.id}, window")
    height, width = part.fov.shape
    y, x = np.indices((height, width))
    labels = y * TILES[0] // height * TILES[1] + x * TILES[1] // width
    try:
        found = target("vessels", scorer.model, part)
    except UserError as error:  # the network cannot take an image of this size
        raise Skipped(f"the network cannot take a window of {width} × {height} px") from error
    except Skipped as reason:
        raise Skipped(f"the network finds no vessel in the window of {width} × {height} px") from reason
    return Window(part, Scorer(scorer.model, found, device=scorer.device), labels)


def _exact(view: Window, baseline: str) -> np.ndarray:
    """(12,) Shapley values of the tiles."""
    reference = view.scorer.reference(baseline, view.case.image)
    game = CoalitionGame(view.scorer, view.case.image, reference, view.labels)
    return shapley_values(game(coalitions(PLAYERS)))


def _measured(view: Window, method: Method, truth: np.ndarray) -> tuple[float, float]:
    """Passes and error of the method's map of the window."""
    before = view.scorer.passes
    try:
        map_ = method(view.scorer, view.case)
    except UserError as error:  # a patch may be larger than the window
        raise Skipped(f"{method.spec} cannot explain the window: {error.message}") from error
    inside = view.case.fov.numpy()
    sums = np.bincount(view.labels[inside], map_[inside].astype(np.float64), PLAYERS)
    return float(view.scorer.passes - before), relative_error(sums, truth)
