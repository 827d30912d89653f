"""A network and a target as a function with one output; every network pass goes through here."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from xaibench.data.baseline import reference_image
from xaibench.models.network_interface import INTERFACE
from xaibench.scorer.batching import Engine, evaluating, keep_freed_memory
from xaibench.scorer.fusion import is_hooked
from xaibench.scorer.image_cache import ImageCache
from xaibench.scorer.inference import Inference, engine_for, fastest_network
from xaibench.scorer.local_forward import LocalForward, verified_field
from xaibench.scorer.partial_forward import Change, PartialForward, partial_forward
from xaibench.scorer.shared_passes import SharedPasses
from xaibench.scorer.target import Target


class Scorer:
    """The network as explainers and metrics see it: (N, 3, H, W) images in, (N,) scores out.

    A call gives the mean *logit* over the target's pixels, which explainers explain, with gradients where the images
    require them; :meth:`probability` gives the mean *probability*, which curves track. The score of a batch equals
    that of its images one by one.

    Attributes:
        model, target, device: as given.
        passes: number of images scored so far, by the whole network or by a crop (:meth:`local_forward`).
        watch: called with the number of images of each pass, if set.
        engine: the engine in use; None before the first scored batch.
        cache: values that metrics and explainers of this image and target share.
        shared: passes and values that scorers of other targets of this image share.

    Args:
        model: what :data:`~xaibench.models.network_interface.INTERFACE` describes. It is used in evaluation mode and
            left as it was.
        target: whose pixels are averaged.
        device: where to compute.
        engine: micro-batch and memory format; measured on first use if None.
        local: whether images that differ little from another one may be scored by crops, which is equal up to rounding.
    """

    def __init__(
        self,
        model: nn.Module,
        target: Target,
        *,
        device: str | torch.device = "cpu",
        engine: Engine | None = None,
        local: bool = True,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.target = target
        self.passes = 0
        self.watch: Callable[[int], object] | None = None
        self.cache = ImageCache()
        self.shared: SharedPasses[Scorer] = SharedPasses(self)
        self.engine = engine
        self._local = local
        self._pixels = torch.nonzero((target.mask & target.fov).flatten()).squeeze(1).to(self.device)
        if self.device.type == "cpu":
            keep_freed_memory()

    def __call__(self, images: Tensor) -> Tensor:
        """(N,) mean logit over the target's pixels.

        While the network has hooks, a batch is one pass outside inference mode, so that a hook can ask for the gradient
        of a layer's output.
        """
        if (torch.is_grad_enabled() and images.requires_grad) or is_hooked(self.model):
            return self.mean_over_target(self.logits(images))
        return self.mean_over_target(self.batched_logits(images))

    def probability(self, images: Tensor) -> Tensor:
        """(N,) mean vessel probability over the target's pixels, without gradients."""
        return self.mean_over_target(self.batched_logits(images).sigmoid())

    def logits(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) logits in one pass, with gradients where the images or hooked layers ask for them."""
        self.check(images)
        self._count(len(images))
        with evaluating(self.model):
            network = fastest_network(self.model, INTERFACE.size(images))
            logits: Tensor = network(images.to(self.device, memory_format=torch.channels_last, copy=True))
        return logits

    def batched_logits(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) logits, without gradients, in micro-batches."""
        self.check(images)
        images = images.detach().to(self.device)
        engine, forward = self.measured_engine(images[0]), self._inference()
        return torch.cat(list(map(forward, engine.batches(images))))

    def mean_over_target(self, maps: Tensor) -> Tensor:
        """(N, 1, H, W) to (N,): the mean over the target's pixels, image by image so that no batch changes rounding."""
        INTERFACE.check_logits(self.model, maps, INTERFACE.size(self.target.mask))
        return torch.stack([m.flatten()[self._pixels].mean() for m in maps])

    def local_forward(self, image: Tensor) -> LocalForward:
        """The logits of images that differ from this one, (3, H, W), in a box: by crops, if the network allows it.

        The logits of a crop agree with those of the whole image to 1e-5 of the largest.
        """
        image = image.detach().to(self.device)
        self.measured_engine(image)
        return LocalForward(image, self._inference, verified_field(self.model, image) if self._local else None)

    def partial_forward(self, image: Tensor, layer: nn.Module) -> PartialForward:
        """A function from a change of a layer's output for an image, (3, H, W), to the logits; each call is a pass.

        See :func:`xaibench.scorer.partial_forward.partial_forward`.
        """
        batch = (self.engine or Engine()).formatted(image[None].detach().to(self.device))
        self.check(batch)
        with evaluating(self.model):
            logits = partial_forward(self.model, layer, batch)

        def counted(change: Change) -> Tensor:
            self._count(1)
            with evaluating(self.model):
                return logits(change)

        return counted

    def for_target(self, target: Target) -> Scorer:
        """The scorer of the same network and image for another target; it counts its own passes and shares them."""
        other = Scorer(self.model, target, device=self.device, engine=self.engine, local=self._local)
        other.watch = self.watch
        other.shared = SharedPasses(other, self.shared)
        return other

    def reference(self, name: str, image: Tensor) -> Tensor:
        """(3, H, W): the image without evidence in this field of view, see :mod:`xaibench.data.baseline`."""
        return reference_image(name, image, self.target.fov, self.target.scale)

    def measured_engine(self, image: Tensor) -> Engine:
        """The engine, measured now on an image (3, H, W) if there is none."""
        if self.engine is None:
            self.engine = engine_for(self.model, image.detach().to(self.device))
        return self.engine

    def check(self, images: Tensor) -> None:
        """Refuse images that are not (N, 3, H, W) of the target's size.

        Raises:
            UserError: then.
        """
        INTERFACE.check_images(images, INTERFACE.size(self.target.mask))

    def _inference(self) -> Inference:
        size = INTERFACE.size(self.target.mask)
        return Inference(self.model, size, self.engine or Engine(), self._count)

    def _count(self, images: int) -> None:
        self.passes += images
        if self.watch is not None:
            self.watch(images)
