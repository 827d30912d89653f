"""The base class of the package's networks: standardisation, padding to any image size, named layers, a card."""

import math
import operator
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MEAN, STD = (0.5, 0.3, 0.2), (0.2, 0.15, 0.1)  # of RGB, until a training set's are known


class VesselNetwork(nn.Module):
    """From RGB in [0, 1] to vessel logits, of any image size.

    The input is standardised with constants that are stored with the weights. No statistic of the image enters, so
    removing pixels changes nothing elsewhere and the network stays a local function of its input. For the same reason
    the networks have batch norms only, whose statistics are constant after training. Sizes that the strides do not
    divide are padded at the right and bottom by repeating the border, and the output is cropped.

    Args:
        architecture: the arguments that build the network again, as plain values.
        strides: the step between levels, from full resolution down; sides are padded to a multiple of their product.
        mean, std: constants of standardisation, per RGB channel.
    """

    kind: ClassVar[str]  # its name in a card
    card: dict[str, Any]
    net: Any  # MONAI's network
    mean: Tensor
    std: Tensor

    def __init__(
        self, architecture: dict[str, Any], strides: Sequence[int], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.card = {}  # set by load_weights
        self.architecture: dict[str, Any] = {"kind": self.kind, **architecture}
        self.strides = tuple(strides)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits."""
        height, width = images.shape[-2:]
        multiple = math.prod(self.strides)
        x = (images - self.mean) / self.std
        x = F.pad(x, (0, -width % multiple, 0, -height % multiple), mode="replicate")
        return self.logits(x)[..., :height, :width]

    def logits(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) standardised, of sides that the strides divide, to (N, 1, H, W)."""
        logits: Tensor = self.net(x)
        return logits

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Layers that an explainer may look at, by role, in the order in which data passes.

        ``encoder-1`` …, ``bottleneck``, ``decoder-1/4``, ``decoder-1/2``, … (the fraction is the resolution), and
        ``last``, whose one channel is the logit map. A decoder followed by linear maps only is left out: a class
        activation map there would be the logit map in disguise.
        """
        raise NotImplementedError

    def named_by_role(
        self, encoders: Sequence[nn.Module], bottleneck: nn.Module, decoders: Sequence[nn.Module], last: nn.Module
    ) -> dict[str, nn.Module]:
        """Layers by role, see :attr:`layers`.

        Args:
            encoders: from full resolution down.
            bottleneck: the coarsest level.
            decoders: one per stride from the first on, from full resolution down.
            last: gives the logit map.
        """
        named = {f"encoder-{i}": layer for i, layer in enumerate(encoders, 1)} | {"bottleneck": bottleneck}
        scales = accumulate(self.strides, operator.mul)  # px of the input per px of a decoder's output
        by_scale = {f"decoder-1/{scale}": layer for scale, layer in zip(scales, decoders, strict=False)}
        return named | dict(reversed(by_scale.items())) | {"last": last}
