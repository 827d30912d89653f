"""Pixel flipping: the network's output as more and more pixels of an image are replaced by a fill.

The target's mean probability s is followed while pixels of the field of view are removed; the share removed takes the
steps q_k = sin²(πk/2n), k = 0 … n, dense at both ends. Curves are normalised to (s − s_end) / (s_0 − s_end), where
s_end has everything removed, and both endpoints are kept.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import Skipped
from xaibench.imputation.fills import Filler, prepare_fill
from xaibench.parameter_checks import at_least
from xaibench.scorer import Scorer
from xaibench.scorer.local_forward import LocalForward, box_of

STEPS = 20
AT_ONCE = 8_000_000  # px of images solved in parallel; each px takes about 150 bytes
LEAST_RANGE = 1e-4  # of probability between the whole and the emptied image; below it a curve is rounding noise


@dataclass(frozen=True)
class Curves:
    """Normalised curves over the share removed, (steps + 1,) each, from 1 to 0.

    Attributes:
        fractions: the share removed.
        most_first, least_first: the target's probability, with the most or the least attributed pixels removed first.
        dice: soft Dice with the original prediction, most attributed first; None if the prediction stays the same even
            with everything removed.
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


def normalised(inner: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(v − v_end) / (v_0 − v_end) of a curve, (n,), with its two ends, (2,); returns (n + 2,)."""
    whole, emptied = ends
    return np.asarray((np.concatenate([[whole], inner, [emptied]]) - emptied) / (whole - emptied))


def soft_dice(prediction: Tensor, original: Tensor) -> float:
    """2 Σpq / (Σp² + Σq²) of two probability maps [milletari2016], in [0, 1]; 1 for two equal ones."""
    overlap = 2 * float((prediction * original).sum(dtype=torch.float64))
    size = float((prediction**2).sum(dtype=torch.float64) + (original**2).sum(dtype=torch.float64))
    return overlap / size if size > 0 else 1.0


def removal_orders(attribution: np.ndarray, fov: np.ndarray, shuffle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Field-of-view pixels from most to least attributed, and from least to most, as flat indices.

    Equal values stand in the same random order in both, so that a constant map gives the same order twice and its
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
    """The fill of that name with noise from a seed; see :func:`~xaibench.imputation.fills.prepare_fill`."""
    rng = np.random.default_rng([seed, 0])
    return prepare_fill(fill, case.image.numpy(), case.fov.numpy(), scale=case.scale, rng=rng)


def images_in_order(filler: Filler, steps: np.ndarray, count: int) -> Callable[[int], np.ndarray]:
    """A function that gives the image after step k, (3, H, W); to be called with increasing k.

    Where each image is a linear system, the next ones are solved at the same time, in as many threads as the network
    computes with, which is idle meanwhile.

    Args:
        filler: replaces the removed pixels.
        steps: (H, W) int, the step at which each pixel is removed.
        count: number of steps.
    """
    threads = 1 if filler.values is not None else torch.get_num_threads()
    wide = max(1, min(threads, AT_ONCE // steps.size))
    solved: dict[int, np.ndarray] = {}

    def image(k: int) -> np.ndarray:
        if wide == 1:
            return filler(steps <= k)
        if k not in solved:
            solved.clear()
            coming = range(k, min(k + wide, count))
            with ThreadPoolExecutor(wide) as pool:
                solved.update(zip(coming, pool.map(lambda i: filler(steps <= i), coming), strict=True))
        return solved.pop(k)

    return image


class WholeImage:
    """The unperturbed image and its prediction, for all targets and fills.

    Attributes:
        local: the image, for passes of images that differ from it in one place.
        dice: soft Dice by the name of a perturbed image.
    """

    def __init__(self, case: Case, scorer: Scorer) -> None:
        self.local = scorer.local_forward(case.image)
        self.dice: dict[bytes, float] = {}
        self._fov = torch.nonzero(case.fov.flatten()).squeeze(1).to(scorer.device)
        self.prediction = self.local.logits.sigmoid()  # (1, 1, H, W)
        self._inside = self.prediction.flatten()[self._fov]

    def dice_with(self, prediction: Tensor) -> float:
        """Soft Dice in the field of view between a prediction, (1, 1, H, W), and that of the whole image."""
        return soft_dice(prediction.flatten()[self._fov], self._inside)


def emptied_image(case: Case, scorer: Scorer, fill: str, seed: int) -> LocalForward:
    """The image with everything removed, for passes of images that differ from it in one place."""
    filler = scorer.shared.cache.get(seeded_fill, case, fill, seed)
    return scorer.local_forward(torch.from_numpy(filler(case.fov.numpy())))


class Removal:
    """Images of one case with pixels replaced by a fill, and the network's response to them.

    Args:
        case: the image.
        scorer: network and target.
        fill: see :func:`~xaibench.imputation.fills.prepare_fill`.
        seed: of the fill's noise and of the order of ties.
    """

    def __init__(self, case: Case, scorer: Scorer, fill: str, seed: int) -> None:
        self._case, self._scorer, self._fill, self._seed = case, scorer, fill, seed
        self._fov = case.fov.numpy()
        shared = scorer.shared.cache
        self._filler: Filler = shared.get(seeded_fill, case, fill, seed)
        self._whole: WholeImage = shared.get(WholeImage, case, scorer.shared.first)
        self._emptied: LocalForward = shared.get(emptied_image, case, scorer.shared.first, fill, seed)

    def curves(self, attribution: np.ndarray, steps: int = STEPS) -> Curves:
        """The curves of a map, (H, W) float32.

        Raises:
            Skipped: if removing everything changes the score by less than 1e-4.
        """
        over = fractions(steps)
        bounds = [round(q * int(self._fov.sum())) for q in over[:-1]]
        orders = removal_orders(attribution, self._fov, tie_order(self._fov, self._seed))
        groups = [[order[a:b] for a, b in pairwise(bounds)] for order in orders]
        (most, dice), (least, _) = map(self.in_order, groups)
        return Curves(over, most, least, dice)

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """The target's probability in the whole image and in the emptied one, (2,), and their Dice, (2,)."""
        emptied, dice = self._response(f"emptied {self._fill} {self._seed}".encode(), lambda: self._emptied.logits)
        whole = float(self._scorer.mean_over_target(self._whole.prediction)[0])
        if abs(whole - emptied) < LEAST_RANGE:
            raise Skipped(
                f"removing everything ({self._fill}) changes the target's probability by less than {LEAST_RANGE}"
            )
        return np.array((whole, emptied)), np.array((1.0, dice))

    def in_order(self, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
        """The normalised curves as one group of pixels after the other is removed; none is put back.

        Args:
            groups: (n,) flat pixel indices each.

        Returns:
            Curves of the target's probability and of the soft Dice with the whole prediction in the field of view,
            (groups + 2,) each; no Dice if the prediction stays the same even with everything removed.

        Raises:
            Skipped: if removing everything changes the score by less than 1e-4.
        """
        ends, dice_ends = self._ends
        steps = np.full(self._fov.shape, len(groups))  # the step at which each pixel is removed
        for k in reversed(range(len(groups))):
            steps.ravel()[groups[k]] = k
        name = hashlib.sha1(f"removed {self._fill} {self._seed}".encode(), usedforsecurity=False)
        image = images_in_order(self._filler, steps, len(groups))
        probability, dice = np.empty(len(groups)), np.empty(len(groups))
        for k, group in enumerate(groups):
            name.update(group.tobytes())
            probability[k], dice[k] = self._response(name.digest(), partial(self._logits, image, steps, k))
        changes = 1 - dice_ends[1] >= LEAST_RANGE
        return normalised(probability, ends), normalised(dice, dice_ends) if changes else None

    def _response(self, name: bytes, logits: Callable[[], Tensor]) -> tuple[float, float]:
        """The target's probability in an image of that name, and its Dice; one pass for all targets."""
        whole = self._whole

        def prediction() -> Tensor:
            probability = logits().sigmoid()
            whole.dice[name] = whole.dice_with(probability)
            return probability

        return self._scorer.shared.score_of(name, prediction), whole.dice[name]

    def _logits(self, image: Callable[[int], np.ndarray], steps: np.ndarray, k: int) -> Tensor:
        """(1, 1, H, W) after step k, by a crop where all removed pixels, or all that are left, lie in one place."""
        changed, removed = torch.from_numpy(image(k)), steps <= k
        places = [(self._whole.local, box_of(torch.from_numpy(removed)))]
        if self._filler.values is not None:
            places.append((self._emptied, box_of(self._case.fov & ~torch.from_numpy(removed))))
        for local, box in places:
            if box is not None and local.crop_for(box) is not None:
                return local.changed(box, changed[box.index].to(self._scorer.device))
        return self._scorer.batched_logits(changed[None])


def removal_of(case: Case, scorer: Scorer, fill: str, rng: np.random.Generator) -> Removal:
    """The removal with this fill; the same object for all metrics, which draw the same seed from equal generators."""
    return scorer.cache.get(Removal, case, scorer, fill, int(rng.integers(2**63)))
