"""Passes whose results serve several targets of one image."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from xaibench.scorer.batching import Engine
from xaibench.scorer.image_cache import ImageCache
from xaibench.scorer.local_forward import Box, LocalForward, digest


class Passes(Protocol):
    """What shared passes use of a :class:`~xaibench.scorer.scorer.Scorer`."""

    device: torch.device

    def check(self, images: Tensor) -> None: ...
    def measured_engine(self, image: Tensor) -> Engine: ...
    def batched_logits(self, images: Tensor) -> Tensor: ...
    def mean_over_target(self, maps: Tensor) -> Tensor: ...


S = TypeVar("S", bound=Passes)


class SharedPasses(Generic[S]):
    """Scores of images that methods ask for whatever the target is, such as the image with a patch hidden.

    The scorers of one network and image for several targets are a family, see :meth:`Scorer.for_target
    <xaibench.scorer.scorer.Scorer.for_target>`. The first of them that needs an image pays for the pass; the others
    look their scores up. A family of one keeps nothing. The scores hold while the network does not change, which the
    caller must ensure.

    Attributes:
        cache: values that depend on the network and the image and not on the target.

    Args:
        scorer: the scorer whose passes these are.
        first: those of another scorer of the family.
    """

    def __init__(self, scorer: S, first: Self | None = None) -> None:
        self.cache: ImageCache = ImageCache() if first is None else first.cache
        self._scorer = scorer
        self._family: list[S] = [] if first is None else first._family
        self._scores: dict[bytes, list[float]] = {} if first is None else first._scores  # by image: one per target
        self._place = len(self._family)
        self._family.append(scorer)

    def scores(self, images: Iterable[Tensor]) -> list[float]:
        """The score of each (3, H, W) image.

        An image is copied as soon as it comes, so that the caller may reuse its memory for the next one, and only one
        micro-batch exists at a time.
        """
        scores = self._scores if self._is_shared else {}
        keys: list[bytes] = []

        def unknown() -> Iterator[tuple[bytes, Tensor]]:
            for i, image in enumerate(images):
                self._scorer.check(image[None])
                keys.append(digest(image) if self._is_shared else b"%d" % i)
                if not self._is_known(keys[-1], scores):
                    yield keys[-1], image.to(self._scorer.device, copy=True)

        new = unknown()
        for key, image in new:
            batch = {key: image} | dict(islice(new, self._scorer.measured_engine(image).micro_batch - 1))
            logits = self._scorer.batched_logits(torch.stack([*batch.values()]))
            scores.update(zip(batch, map(self._of_family, logits.split(1)), strict=True))
        return [scores[key][self._place] for key in keys]

    def changed_scores(self, local: LocalForward, changes: Iterable[tuple[Box, Tensor]]) -> list[float]:
        """The score of an image with each change of the content of a box."""
        if not self._is_shared:
            own = list(map(self._scorer.mean_over_target, local.changed_each(changes)))
            return [float(score) for score in own]
        listed = list(changes)
        keys = [local.digest + repr(box).encode() + digest(content) for box, content in listed]
        new = {k: change for k, change in zip(keys, listed, strict=True) if not self._is_known(k, self._scores)}
        for key, logits in zip(new, local.changed_each(new.values()), strict=True):
            self._scores[key] = self._of_family(logits)
        return [self._scores[key][self._place] for key in keys]

    def base_score(self, local: LocalForward) -> float:
        """The score of the unchanged image."""
        return self.score_of(local.digest, partial(getattr, local, "logits"))

    def score_of(self, key: bytes, logits: Callable[[], Tensor]) -> float:
        """The score of logits, (1, 1, H, W), which are computed once for the family.

        Args:
            key: what tells these logits from all others.
            logits: computes them.
        """
        if not self._is_shared:
            return float(self._scorer.mean_over_target(logits())[0])
        if not self._is_known(key, self._scores):
            self._scores[key] = self._of_family(logits())
        return self._scores[key][self._place]

    def forget(self) -> None:
        """Remove the scores of the family, so that no method's cost depends on the methods before it."""
        self._scores.clear()

    @property
    def first(self) -> S:
        """The scorer that the family began with, which pays for passes that :attr:`cache` keeps."""
        return self._family[0]

    @property
    def _is_shared(self) -> bool:
        return len(self._family) > 1

    def _is_known(self, key: bytes, scores: dict[bytes, list[float]]) -> bool:
        """Whether every scorer of the family has its score; one that joined later has not."""
        return len(scores.get(key, ())) == len(self._family)

    def _of_family(self, logits: Tensor) -> list[float]:
        return [float(scorer.mean_over_target(logits)[0]) for scorer in self._family]
