"""Model + Target as a one-output classifier; every network pass goes through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from xaibench.data.reference import reference_image
from xaibench.errors import UserError
from xaibench.model.weights_file import weights_digest
from xaibench.scorer.engine import Engine, evaluating, tune
from xaibench.scorer.target import Target

T = TypeVar("T")


class Scorer:
    """What explainers and metrics see of a network: (N, 3, H, W) images in, (N,) scores out.

    Called, it gives the mean *logit* over the target's pixels, which explainers explain, differentiable where the
    images ask for gradients; :meth:`probability` gives the mean *probability*, which curves track. The score of a
    batch is that of its images one by one. ``passes`` counts the images that went through the network.

    Args:
        model: (N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits. It is used in evaluation mode and left as it was.
        target: which pixels.
        device: where to compute.
        engine: micro-batch and memory format; measured on first use if None.
    """

    def __init__(
        self, model: nn.Module, target: Target, *, device: str | torch.device = "cpu", engine: Engine | None = None
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.target = target
        self.passes = 0
        self._engine = engine
        self._pixels = torch.nonzero((target.mask & target.fov).flatten()).squeeze(1).to(self.device)
        self._shared: dict[Any, Any] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """(N,) mean logit over the target's pixels."""
        if torch.is_grad_enabled() and images.requires_grad:
            return self.reduce(self.logits(images))
        return self._each(images, self.reduce)

    def probability(self, images: Tensor) -> Tensor:
        """(N,) mean vessel probability over the target's pixels, without gradients."""
        return self._each(images, lambda logits: self.reduce(logits.sigmoid()))

    def maps(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) vessel probabilities, without gradients."""
        return self._each(images, Tensor.sigmoid)

    def logits(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) logits in one pass, with gradients where the images or hooked layers ask for them."""
        self._check(images)
        self.passes += len(images)
        with evaluating(self.model):
            logits: Tensor = self.model(images.to(self.device, memory_format=torch.channels_last))
        return logits

    def about(self, target: Target) -> Scorer:
        """The same network asked about another target; it counts its own passes."""
        return Scorer(self.model, target, device=self.device, engine=self._engine)

    def reference(self, name: str, image: Tensor) -> Tensor:
        """(3, H, W): the image without evidence in this field of view, see :mod:`xaibench.data.reference`."""
        return reference_image(name, image, self.target.fov, self.target.scale)

    def reduce(self, maps: Tensor) -> Tensor:
        """(N, 1, H, W) to (N,): the mean over the target's pixels, image by image so that no batch changes rounding."""
        return torch.stack([m.flatten()[self._pixels].mean() for m in maps])

    def shared(self, key: Any, compute: Callable[[], T]) -> T:
        """What several methods or metrics of this case need, computed once."""
        if key not in self._shared:
            self._shared[key] = compute()
        value: T = self._shared[key]
        return value

    @property
    def engine(self) -> Engine | None:
        """The engine in use; None before the first scored batch."""
        return self._engine

    def _each(self, images: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        self._check(images)
        images = images.detach().to(self.device)
        with torch.inference_mode(), evaluating(self.model):
            if self._engine is None:
                self._engine = tune(self.model, images[0], weights_digest(self.model))
            scores = [reduce(self.model(part)) for part in self._engine.batches(images)]
        self.passes += len(images)
        return torch.cat(scores).clone()  # outside inference mode, so that callers may use it anywhere

    def _check(self, images: Tensor) -> None:
        size = tuple(self.target.mask.shape)
        if images.ndim != 4 or images.shape[1] != 3 or tuple(images.shape[2:]) != size:
            raise UserError(
                f"The scorer got images of shape {tuple(images.shape)} for a target of {size[0]} × {size[1]} px.",
                f"Give (N, 3, {size[0]}, {size[1]}).",
            )
