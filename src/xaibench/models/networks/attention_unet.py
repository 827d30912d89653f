"""A U-Net whose skip connections are weighted by attention gates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.attentionunet import AttentionLayer, AttentionUnet
from torch import Tensor, nn

from xaibench.models.network_interface import INTERFACE
from xaibench.models.networks.vessel_network import MEAN, STD, VesselNetwork


class VesselAttentionUNet(VesselNetwork):
    """A MONAI ``AttentionUnet`` [oktay2018]: gates weigh, pixel by pixel, what of a level passes.

    MONAI puts an instance norm behind each gate, whose statistics are those of the picture: what is removed in one
    place would change what is seen in all others. Here batch norms and ReLUs stand there, as in the rest of it.

    Args:
        channels: feature channels per level, the first at full resolution.
        strides: the step between levels.
        mean, std: constants of standardisation, per RGB channel.
    """

    kind = "attention-unet"

    def __init__(
        self,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        strides: Sequence[int] = (2, 2, 2, 2),
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__({"channels": list(channels), "strides": list(strides)}, math.prod(strides), mean, std)
        self.net = AttentionUnet(
            len(INTERFACE.axes), INTERFACE.channels, INTERFACE.classes, channels=channels, strides=strides
        )
        for level, width in zip(self._levels(), channels, strict=False):
            level.merge = Convolution(2, 2 * width, width, act="RELU", norm="BATCH")

    def logits(self, x: Tensor) -> Tensor:
        """See :meth:`VesselNetwork.logits`."""
        logits: Tensor = self.net(x)
        return logits

    @property
    def layers(self) -> dict[str, nn.Module]:
        """See :attr:`VesselNetwork.layers`; the topmost decoder is none, since only a linear map follows it."""
        levels = self._levels()
        first, _, last = self.net.model
        within = [level.submodule for level in levels]
        encoders = [first, *(part[0] for part in within if isinstance(part, nn.Sequential))]
        named = {f"encoder-{i}": m for i, m in enumerate(encoders, 1)} | {"bottleneck": within[-1]}
        scale = 1
        scales = [scale := scale * s for s in [1, *self.architecture["strides"]]]
        for level, s in reversed(list(zip(levels[1:], scales[1:], strict=False))):
            named[f"decoder-1/{s}"] = level.merge
        named["last"] = last.get_submodule("conv")
        return named

    def _levels(self) -> list[AttentionLayer]:
        """From full resolution down."""
        return [module for module in self.net.modules() if isinstance(module, AttentionLayer)]
