"""Model + Target as a one-output classifier; every network pass goes through here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from xaibench.data.baseline import reference_image
from xaibench.errors import UserError
from xaibench.models.evaluate import check_logits
from xaibench.models.weights_file import weights_digest
from xaibench.scorer.batching import FORMATS, Engine, evaluating, keep_memory, tune
from xaibench.scorer.fusion import folded, is_hooked
from xaibench.scorer.local_forward import LEAST, Box, Near, Through, alike_together, digest, trusted_reach
from xaibench.scorer.partial_forward import Change, Tail, tail
from xaibench.scorer.target import Target

T = TypeVar("T")


class Scorer:
    """What explainers and metrics see of a network: (N, 3, H, W) images in, (N,) scores out.

    Called, it gives the mean *logit* over the target's pixels, which explainers explain, differentiable where the
    images ask for gradients; :meth:`probability` gives the mean *probability*, which curves track. The score of a
    batch is that of its images one by one. ``passes`` counts the pictures that were scored, be it by the whole network
    or, see :meth:`near`, by a crop around what differs from another picture; ``watch``, where it is set, is called
    with the number of pictures of each pass.

    Args:
        model: (N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits. It is used in evaluation mode and left as it was.
        target: which pixels.
        device: where to compute.
        engine: micro-batch and memory format; measured on first use if None.
        local: whether pictures that differ little from one another may be scored by crops; equal up to rounding.
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
        self._engine = engine
        self._local = local
        self._pixels = torch.nonzero((target.mask & target.fov).flatten()).squeeze(1).to(self.device)
        self._shared: dict[Any, Any] = {}
        self._common: dict[Any, Any] = {}
        self._family = [self]  # the scorers of this network and image for several targets
        self._kept: dict[bytes, list[float]] = {}  # by picture: the score of each of the family
        self._batch: Tensor | None = None  # of pictures that wait for their pass
        if self.device.type == "cpu":
            keep_memory()

    def __call__(self, images: Tensor) -> Tensor:
        """(N,) mean logit over the target's pixels.

        While the network is hooked, a batch goes through it in one pass outside inference mode, so that a hook can ask
        for the gradient of what it sees.
        """
        if (torch.is_grad_enabled() and images.requires_grad) or is_hooked(self.model):
            return self.reduce(self.logits(images))
        return self._each(images, self.reduce)

    def probability(self, images: Tensor) -> Tensor:
        """(N,) mean vessel probability over the target's pixels, without gradients."""
        return self._each(images, lambda logits: self.reduce(logits.sigmoid()))

    def plain(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) logits, without gradients, in micro-batches."""
        return self._each(images, lambda logits: logits)

    def logits(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) logits in one pass, with gradients where the images or hooked layers ask for them."""
        self._check(images)
        self._count(len(images))
        with evaluating(self.model):
            logits: Tensor = self._network()(images.to(self.device, memory_format=torch.channels_last))
        return logits

    def near(self, image: Tensor) -> Near:
        """The network's logits of pictures that differ from this one, (3, H, W), in a box: by crops, where it is local.

        A crop is seen as the whole picture is, but for the rounding of floats: logits agree to 1e-5.
        """
        image = image.detach().to(self.device)
        self._tune(image)
        return Near(image, self._ready, trusted_reach(self.model, image) if self._local else None)

    def tail(self, image: Tensor, layer: nn.Module) -> Tail:
        """A function from changes of what a layer gives for a picture, (3, H, W), to the logits; each counts as a pass.

        See :func:`xaibench.scorer.partial_forward.tail`.
        """
        picture = (self._engine or Engine()).laid_out(image[None].detach().to(self.device))
        self._check(picture)
        with evaluating(self.model):
            logits = tail(self.model, layer, picture)

        def changed(change: Change) -> Tensor:
            self._count(1)
            with evaluating(self.model):
                return logits(change)

        return changed

    def about(self, target: Target) -> Scorer:
        """The same network asked about another target; it counts its own passes.

        The two are of one family: what one of them has to have scored by :meth:`together`, the other need not.
        """
        other = Scorer(self.model, target, device=self.device, engine=self._engine, local=self._local)
        other.watch = self.watch
        other._family, other._kept, other._common = self._family, self._kept, self._common
        self._family.append(other)
        return other

    def together(self, pictures: Iterable[Tensor]) -> list[float]:
        """The scores of (3, H, W) pictures, for methods that have the same ones scored whatever the target is.

        The first of the family that asks for a picture pays the pass; the others find their score. It holds only as
        long as nothing was done to the network in between, which the caller must see to. Each picture is copied as it
        comes, so that they may all be made in the same place, and no more of them exist than go through the network at
        a time.
        """
        shared = len(self._family) > 1
        kept: dict[Any, list[float]] = self._kept if shared else {}
        names: list[Any] = []
        waiting: list[Any] = []
        for i, picture in enumerate(pictures):
            self._check(picture[None])
            names.append(digest(picture) if shared else i)
            if names[-1] in waiting or self._knows(names[-1]):
                continue
            batch = self._room(picture)
            batch[len(waiting)] = picture
            waiting.append(names[-1])
            if len(waiting) == len(batch):
                kept.update(self._scored(waiting, batch))
                waiting = []
        if self._batch is not None:
            kept.update(self._scored(waiting, self._batch))
        place = self._family.index(self)
        return [kept[name][place] for name in names]

    def together_near(self, near: Near, changes: Iterable[tuple[Box, Tensor]]) -> list[float]:
        """As :meth:`together`, of pictures in which a box holds other content, see :meth:`Near.changed_each`."""
        if len(self._family) == 1:
            return [float(self.reduce(logits)[0]) for logits in near.changed_each(changes)]
        listed = list(changes)
        keys = [near.digest + repr(box).encode() + digest(content) for box, content in listed]
        new = {key: change for key, change in zip(keys, listed, strict=True) if not self._knows(key)}
        for key, logits in zip(new, near.changed_each(new.values()), strict=True):
            self._keep(key, logits)
        place = self._family.index(self)
        return [self._kept[key][place] for key in keys]

    def unchanged(self, near: Near) -> float:
        """As :meth:`together`, of the picture itself."""
        return self.once(lambda: near.digest, lambda: near.logits)

    def once(self, key: Callable[[], bytes], logits: Callable[[], Tensor]) -> float:
        """The score of (1, 1, H, W) logits that the key tells from all others; made once for the whole family."""
        if len(self._family) == 1:
            return float(self.reduce(logits())[0])
        name = key()
        if not self._knows(name):
            self._keep(name, logits())
        return self._kept[name][self._family.index(self)]

    def forget(self) -> None:
        """Forget the scores kept for the family."""
        self._kept.clear()

    def reference(self, name: str, image: Tensor) -> Tensor:
        """(3, H, W): the image without evidence in this field of view, see :mod:`xaibench.data.baseline`."""
        return reference_image(name, image, self.target.fov, self.target.scale)

    def reduce(self, maps: Tensor) -> Tensor:
        """(N, 1, H, W) to (N,): the mean over the target's pixels, image by image so that no batch changes rounding."""
        check_logits(self.model, maps, tuple(self.target.mask.shape))
        return torch.stack([m.flatten()[self._pixels].mean() for m in maps])

    def shared(self, key: Any, compute: Callable[[], T]) -> T:
        """What several methods or metrics of this case need, computed once."""
        return _once(self._shared, key, compute)

    def common(self, key: Any, compute: Callable[[], T]) -> T:
        """As :meth:`shared`, of what does not depend on the target: once for the whole family."""
        return _once(self._common, key, compute)

    @property
    def engine(self) -> Engine | None:
        """The engine in use; None before the first scored batch."""
        return self._engine

    def _count(self, pictures: int) -> None:
        self.passes += pictures
        if self.watch is not None:
            self.watch(pictures)

    def _room(self, picture: Tensor) -> Tensor:
        """(micro-batch, 3, H, W), where pictures wait for their pass."""
        if self._batch is None:
            engine = self._tune(picture.detach().to(self.device))
            shape = (engine.micro_batch, *picture.shape)
            self._batch = torch.empty(shape, device=self.device, memory_format=FORMATS[engine.memory_format])
        return self._batch

    def _scored(self, names: list[Any], batch: Tensor) -> dict[Any, list[float]]:
        """By name, the scores that each of the family gives to the first pictures of the batch."""
        logits = self.plain(batch[: len(names)]) if names else ()
        return {name: self._of_all(each[None]) for name, each in zip(names, logits, strict=True)}

    def _of_all(self, logits: Tensor) -> list[float]:
        return [float(member.reduce(logits)[0]) for member in self._family]

    def _knows(self, key: bytes) -> bool:
        return len(self._family) > 1 and len(self._kept.get(key, ())) == len(self._family)

    def _keep(self, key: bytes, logits: Tensor) -> None:
        self._kept[key] = self._of_all(logits)

    def _each(self, images: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        self._check(images)
        images = images.detach().to(self.device)
        batches = self._tune(images[0]).batches(images)
        with torch.inference_mode(), evaluating(self.model):
            network = self._network()
            scores = [reduce(network(part)) for part in batches]
        self._count(len(images))
        return torch.cat(scores).clone()  # outside inference mode, so that callers may use it anywhere

    def _network(self) -> nn.Module:
        return _for_passes(self.model, self.target.mask)

    def _tune(self, image: Tensor) -> Engine:
        if self._engine is None:
            self._engine = engine_for(self.model, image)
        return self._engine

    def _ready(self) -> Through:
        """The network as it is now, for pictures of any size without gradients."""
        with torch.inference_mode(), evaluating(self.model):
            network = self._network()
        engine = self._engine or Engine()

        def forward(pictures: Tensor) -> Tensor:
            self._count(len(pictures))
            with torch.inference_mode(), evaluating(self.model):
                logits: Tensor = network(engine.laid_out(pictures))
            return logits.clone()

        def joined(pictures: Tensor) -> bool:
            # To find out is charged to nobody.
            with torch.inference_mode(), evaluating(self.model):
                return alike_together(network, engine.laid_out(pictures))

        return Through(forward, joined)

    def _check(self, images: Tensor) -> None:
        size = tuple(self.target.mask.shape)
        if images.ndim != 4 or images.shape[1] != 3 or tuple(images.shape[2:]) != size:
            raise UserError(
                f"The scorer got images of shape {tuple(images.shape)} for a target of {size[0]} × {size[1]} px.",
                f"Give (N, 3, {size[0]}, {size[1]}).",
            )


def engine_for(model: nn.Module, image: Tensor) -> Engine:
    """The engine that scorers of pictures of this size take, see :func:`~xaibench.scorer.batching.tune`.

    Args:
        model: on the image's device.
        image: (3, H, W).
    """
    with torch.inference_mode(), evaluating(model):
        network = _for_passes(model, image)
        return tune(network, image, weights_digest(model) + (" folded" if network is not model else ""))


def _for_passes(model: nn.Module, picture: Tensor) -> nn.Module:
    """What passes without gradients go through; on small pictures it would take longer to ask than it saves."""
    return folded(model) if min(picture.shape[-2:]) >= LEAST else model


def _once(known: dict[Any, Any], key: Any, compute: Callable[[], T]) -> T:
    if key not in known:
        known[key] = compute()
    value: T = known[key]
    return value
