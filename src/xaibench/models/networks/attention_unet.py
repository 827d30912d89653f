"""A U-Net whose skip connections are weighted by attention gates."""

from collections.abc import Sequence

from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.attentionunet import AttentionLayer, AttentionUnet
from torch import nn

from xaibench.models.network_interface import INTERFACE
from xaibench.models.networks.vessel_network import MEAN, STD, VesselNetwork


class VesselAttentionUNet(VesselNetwork):
    """A MONAI ``AttentionUnet`` [oktay2018]: gates weigh the features of each skip connection pixel by pixel.

    MONAI puts an instance norm behind each gate. Its statistics depend on the whole image, so removing pixels in one
    place would change the features in all others. Batch norms and ReLUs replace it, as in the rest of the network.

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
        super().__init__({"channels": list(channels), "strides": list(strides)}, strides, mean, std)
        self.net = AttentionUnet(
            len(INTERFACE.axes), INTERFACE.channels, INTERFACE.classes, channels=channels, strides=strides
        )
        for level, width in zip(self._levels(), channels, strict=False):
            level.merge = Convolution(2, 2 * width, width, act="RELU", norm="BATCH")

    @property
    def layers(self) -> dict[str, nn.Module]:
        """See :attr:`VesselNetwork.layers`; the topmost decoder is left out, since only a linear map follows it."""
        levels = self._levels()
        first, _, last = self.net.model
        inner = [level.submodule for level in levels]
        encoders = [first, *(part[0] for part in inner if isinstance(part, nn.Sequential))]
        decoders = [level.merge for level in levels[1:]]
        return self.named_by_role(encoders, inner[-1], decoders, last.get_submodule("conv"))

    def _levels(self) -> list[AttentionLayer]:
        """From full resolution down."""
        return [module for module in self.net.modules() if isinstance(module, AttentionLayer)]
