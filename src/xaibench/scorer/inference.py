"""Passes without gradients through a network as it is at one moment."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from xaibench.models.network_interface import INTERFACE
from xaibench.models.weights_file import weights_digest
from xaibench.scorer.batching import Engine, evaluating, fastest_engine
from xaibench.scorer.fusion import folded

LEAST_SIDE = 256  # px, shorter side of images from which on folding and cropping save more time than they cost
_same_bits: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], bool]] = WeakKeyDictionary()


class Inference:
    """A function from images of any size to logits, in evaluation mode and without gradients.

    A change of the network is looked for once, when the object is made, and not before every pass.

    Args:
        model: the network.
        size: (H, W) of whole images, which decides whether the network is folded.
        engine: memory format of the passes.
        count: called with the number of images of each pass.
    """

    def __init__(self, model: nn.Module, size: tuple[int, ...], engine: Engine, count: Callable[[int], None]) -> None:
        self._model, self._engine, self._count = model, engine, count
        with torch.inference_mode(), evaluating(model):
            self._network = fastest_network(model, size)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 1, h, w) logits of (N, 3, h, w) images."""
        self._count(len(images))
        with torch.inference_mode(), evaluating(self._model):
            logits: Tensor = self._network(self._engine.formatted(images))
        return logits.clone()  # outside inference mode, so that callers may use it anywhere

    def allows_batch(self, images: Tensor) -> bool:
        """Whether a batch, (N, 3, h, w), gives bit for bit what its images give one by one.

        For some sizes torch selects another kernel for several images than for one, which rounds differently. Tried
        once per network, shape of the batch and number of threads; the trial is not counted as passes.
        """
        by_shape = _same_bits.setdefault(self._network, {})
        key = (torch.get_num_threads(), *images.shape)
        if key not in by_shape:
            with torch.inference_mode(), evaluating(self._model):
                one_by_one = torch.cat([self._network(self._engine.formatted(image)) for image in images.split(1)])
                by_shape[key] = torch.equal(self._network(self._engine.formatted(images)), one_by_one)
        return by_shape[key]


def fastest_network(model: nn.Module, size: tuple[int, ...]) -> nn.Module:
    """The folded network for large images; for small ones the network itself, as checking it takes longer.

    Args:
        model: in evaluation mode.
        size: (H, W) of whole images.
    """
    return folded(model) if min(size) >= LEAST_SIDE else model


def engine_for(model: nn.Module, image: Tensor) -> Engine:
    """The engine for images of this size, see :func:`~xaibench.scorer.batching.fastest_engine`.

    Args:
        model: on the image's device.
        image: (3, H, W).
    """
    with torch.inference_mode(), evaluating(model):
        network = fastest_network(model, INTERFACE.size(image))
        return fastest_engine(network, image, weights_digest(model) + (" folded" if network is not model else ""))
