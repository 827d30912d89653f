"""What a network still sees as pixels are taken away: the curves under deletion, insertion and their kin.

The target's mean probability s is followed while pixels of the field of view are replaced by a fill; the share removed
takes the steps q_k = sin²(πk/2n), k = 0 … n, dense at both ends. Curves are normalised to (s − s_end) / (s_0 − s_end),
where s_end has everything removed, and both endpoints are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.imputation.fills import Filler, prepare_fill
from xaibench.parameter_checks import at_least
from xaibench.scorer import Scorer
from xaibench.scorer.local_forward import Near, box_of

STEPS = 20
AT_ONCE = 8_000_000  # px of pictures to be solved beside one another, each of which takes some 150 bytes
LEAST_RANGE = 1e-4  # of probability: with less between the whole image and none of it, a curve is rounding noise


@dataclass(frozen=True)
class Seen:
    """What the network sees of pictures with more and more removed.

    Attributes:
        probability: (N,) the target's mean probability.
        dice: (N,) soft Dice in the field of view between the probabilities of the picture and of the whole image.
    """

    probability: np.ndarray
    dice: np.ndarray


@dataclass(frozen=True)
class Curves:
    """Normalised curves over the share removed, (steps + 1,) each, from 1 to 0.

    Attributes:
        fractions: the share removed.
        most_first, least_first: the target's probability, as the most or the least attributed pixels go first.
        dice: soft Dice with the original prediction, the most attributed first; None if even with everything removed
            the prediction stays as it was.
    """

    fractions: np.ndarray
    most_first: np.ndarray
    least_first: np.ndarray
    dice: np.ndarray | None


def fractions(steps: int = STEPS) -> np.ndarray:
    """(steps + 1,) shares q_k = sin²(πk / 2 steps), from 0 to 1 and symmetric.

    Example:
        >>> fractions(4).round(3).tolist()
        [0.0, 0.146, 0.5, 0.854, 1.0]
    """
    at_least(1, "steps", steps)
    return np.asarray(np.sin(np.pi * np.arange(steps + 1) / (2 * steps)) ** 2)


def area(curve: np.ndarray, over: np.ndarray) -> float:
    """Area under a curve over the share removed, by trapezoids."""
    return float(np.trapezoid(curve, over))


def soft_dice(prediction: Tensor, original: Tensor) -> float:
    """2 Σpq / (Σp² + Σq²) of two probability maps [milletari2016], in [0, 1]; 1 for two equal ones."""
    overlap = 2 * float((prediction * original).sum(dtype=torch.float64))
    size = float((prediction**2).sum(dtype=torch.float64) + (original**2).sum(dtype=torch.float64))
    return overlap / size if size > 0 else 1.0


def removal_orders(attribution: np.ndarray, fov: np.ndarray, shuffle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Field-of-view pixels from most to least attributed, and from least to most, as flat indices.

    Equal values stand in the same random order in both, so that a constant map gives twice the same order and its
    symmetric relevance gain is exactly 0.

    Args:
        attribution: (H, W).
        fov: (H, W) bool with n pixels.
        shuffle: (n,) a permutation that orders ties.
    """
    pixels = np.flatnonzero(fov)[shuffle]
    values = attribution.ravel()[pixels]
    return pixels[np.argsort(-values, kind="stable")], pixels[np.argsort(values, kind="stable")]


def tie_order(fov: np.ndarray, seed: int) -> np.ndarray:
    """(n,) the permutation of the field of view's n pixels that orders ties."""
    return np.random.default_rng([seed, 1]).permutation(int(fov.sum()))


def seeded_fill(case: Case, fill: str, seed: int) -> Filler:
    """The fill of that name, whose noise the seed decides; see :func:`~xaibench.imputation.fills.prepare_fill`."""
    rng = np.random.default_rng([seed, 0])
    return prepare_fill(fill, case.image.numpy(), case.fov.numpy(), scale=case.scale, rng=rng)


def removal_curves(
    attribution: np.ndarray, case: Case, scorer: Scorer, fill: str, rng: np.random.Generator, steps: int = STEPS
) -> Curves:
    """The curves of a map; computed once for the metrics that read them.

    Raises:
        Skipped: if removing everything changes the score by less than 1e-4.
    """
    attribution = np.asarray(attribution, np.float32)
    seed = int(rng.integers(2**63))  # the same for each metric of this map, since each gets the same generator anew

    def compute() -> Curves:
        fov, over = case.fov.numpy(), fractions(steps)
        ends = removal_ends(case, scorer, fill, seed)
        bounds = [round(q * int(fov.sum())) for q in over[:-1]]
        last: dict[tuple[int, bytes], tuple[np.ndarray, np.ndarray]] = scorer.common(("orders",), dict)
        if (seed, name) not in last:  # of the map's curves with another fill
            last.clear()
            last[seed, name] = removal_orders(attribution, fov, tie_order(fov, seed))
        most, least = (
            removed_in_order([order[a:b] for a, b in pairwise(bounds)], case, scorer, fill, seed)
            for order in last[seed, name]
        )
        return Curves(
            over,
            normalised(most.probability, ends.probability),
            normalised(least.probability, ends.probability),
            normalised(most.dice, ends.dice) if 1 - ends.dice[1] >= LEAST_RANGE else None,
        )

    name = hashlib.sha1(np.ascontiguousarray(attribution).data, usedforsecurity=False).digest()
    return scorer.shared(("curves", fill, seed, steps, name), compute)


def normalised(inner: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(v − v_end) / (v_0 − v_end) of the curve with its two ends."""
    whole, emptied = ends
    return np.asarray((np.concatenate([[whole], inner, [emptied]]) - emptied) / (whole - emptied))


def removal_ends(case: Case, scorer: Scorer, fill: str, seed: int) -> Seen:
    """What is seen of the whole image and of the emptied one; computed once per fill.

    Raises:
        Skipped: if the score changes by less than 1e-4.
    """
    ends = scorer.shared(("ends", fill, seed), lambda: _ends(case, scorer, fill, seed))
    if abs(ends.probability[0] - ends.probability[1]) < LEAST_RANGE:
        raise Skipped(f"removing everything ({fill}) changes the target's probability by less than {LEAST_RANGE}")
    return ends


def _ends(case: Case, scorer: Scorer, fill: str, seed: int) -> Seen:
    name = f"emptied {fill} {seed}".encode()
    emptied = _see(name, lambda: _emptied(case, scorer, fill, seed).logits, case, scorer)
    whole = float(scorer.reduce(_original(case, scorer))[0])
    return Seen(*(np.array(pair) for pair in zip((whole, 1.0), emptied, strict=True)))


def removed_in_order(groups: Sequence[np.ndarray], case: Case, scorer: Scorer, fill: str, seed: int) -> Seen:
    """What is seen as one group of pixels after the other is removed, none put back.

    Args:
        groups: flat pixel indices each.
        case: the image.
        scorer: network and target.
        fill: see :func:`~xaibench.imputation.fills.prepare_fill`.
        seed: of the fill's noise.
    """
    filler, fov = _filler(case, scorer, fill, seed), case.fov.numpy()
    steps = np.full(fov.shape, len(groups))  # at which a pixel goes
    for k in reversed(range(len(groups))):
        steps.ravel()[groups[k]] = k
    picture = _filled(filler, steps, len(groups))
    name, seen = hashlib.sha1(f"removed {fill} {seed}".encode(), usedforsecurity=False), []
    for k, group in enumerate(groups):
        name.update(group.tobytes())
        see = partial(_logits, partial(picture, k), steps <= k, filler, case, scorer, fill, seed)
        seen.append(_see(name.digest(), see, case, scorer))
    return Seen(*(np.array(each) for each in zip(*seen, strict=True))) if seen else Seen(np.empty(0), np.empty(0))


def _filled(filler: Filler, steps: np.ndarray, count: int) -> Callable[[int], np.ndarray]:
    """A function that makes the picture after the k-th step, of (H, W) steps; to be asked in their order.

    Where each picture is a system to be solved, those that come next are solved beside it, by as many threads as the
    network computes with, which rests meanwhile.
    """
    threads = 1 if filler.values is not None else torch.get_num_threads()
    wide = max(1, min(threads, AT_ONCE // steps.size))
    made: dict[int, np.ndarray] = {}

    def picture(k: int) -> np.ndarray:
        if wide == 1:
            return filler(steps <= k)
        if k not in made:
            made.clear()
            coming = range(k, min(k + wide, count))
            with ThreadPoolExecutor(wide) as pool:
                made.update(zip(coming, pool.map(lambda i: filler(steps <= i), coming), strict=True))
        return made.pop(k)

    return picture


def _logits(
    picture: Callable[[], np.ndarray],
    removed: np.ndarray,
    filler: Filler,
    case: Case,
    scorer: Scorer,
    fill: str,
    seed: int,
) -> Tensor:
    """(1, 1, H, W), by a crop where all that was removed, or all that is left, lies in one place."""
    changed = torch.from_numpy(picture())
    box = box_of(torch.from_numpy(removed))
    whole = _near(case, scorer)
    if box is not None and whole.helps(box):
        return whole.changed(box, changed[(..., *box.slices)].to(scorer.device))
    if filler.values is not None:
        left = box_of(case.fov & ~torch.from_numpy(removed))
        emptied = _emptied(case, scorer, fill, seed)
        if left is not None and emptied.helps(left):
            return emptied.changed(left, changed[(..., *left.slices)].to(scorer.device))
    return scorer.plain(changed[None])


def _see(name: bytes, logits: Callable[[], Tensor], case: Case, scorer: Scorer) -> tuple[float, float]:
    """The target's probability in a picture of that name, and its Dice; one pass for all targets that ask for it."""
    dice = scorer.common(("dice",), dict[bytes, float])

    def maps() -> Tensor:
        found, (place, original) = logits().sigmoid(), _inside(case, scorer)
        dice[name] = soft_dice(found.flatten()[place], original)
        return found

    return scorer.once(lambda: name, maps), dice[name]


def _near(case: Case, scorer: Scorer) -> Near:
    """The whole image, and the network's logits of it; one pass for all methods and metrics."""
    return scorer.common(("near",), lambda: scorer.near(case.image))


def _inside(case: Case, scorer: Scorer) -> tuple[Tensor, Tensor]:
    """(n,) flat indices of the field of view, and the probabilities of the whole image there."""

    def find() -> tuple[Tensor, Tensor]:
        place = torch.nonzero(case.fov.flatten()).squeeze(1).to(scorer.device)
        return place, _original(case, scorer).flatten()[place]

    return scorer.common(("inside",), find)


def _original(case: Case, scorer: Scorer) -> Tensor:
    """(1, 1, H, W) probabilities of the whole image."""
    return scorer.common(("prediction",), lambda: _near(case, scorer).logits.sigmoid())


def _emptied(case: Case, scorer: Scorer, fill: str, seed: int) -> Near:
    """The image with everything removed, and the network's logits of it."""

    def empty() -> Near:
        return scorer.near(torch.from_numpy(_filler(case, scorer, fill, seed)(case.fov.numpy())))

    return scorer.common(("emptied", fill, seed), empty)


def _filler(case: Case, scorer: Scorer, fill: str, seed: int) -> Filler:
    return scorer.common(("fill", fill, seed), lambda: seeded_fill(case, fill, seed))
