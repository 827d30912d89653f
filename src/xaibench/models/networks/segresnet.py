"""A residual encoder and decoder whose skip connections add instead of joining channels."""

from collections.abc import Sequence

from monai.networks.nets.segresnet import SegResNet
from torch import nn

from xaibench.models.network_interface import INTERFACE
from xaibench.models.networks.vessel_network import MEAN, STD, VesselNetwork


class VesselSegResNet(VesselNetwork):
    """A MONAI ``SegResNet`` [myronenko2018] with batch norms, and transposed convolutions to upsample.

    Its group norms would use statistics of the whole image, and its bilinear upsampling would depend on the position in
    the image; with either, the network would not be a local function of its input.

    Args:
        filters: feature channels at full resolution; each level has twice as many as the one before.
        down: residual blocks of each level of the encoder.
        up: residual blocks of each level of the decoder.
        mean, std: constants of standardisation, per RGB channel.
    """

    kind = "segresnet"

    def __init__(
        self,
        filters: int = 8,
        down: Sequence[int] = (1, 2, 2, 4),
        up: Sequence[int] = (1, 1, 1),
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        architecture = {"filters": filters, "down": list(down), "up": list(up)}
        super().__init__(architecture, (1, *(2 for _ in down[1:])), mean, std)
        self.net = SegResNet(
            spatial_dims=len(INTERFACE.axes),
            init_filters=filters,
            in_channels=INTERFACE.channels,
            out_channels=INTERFACE.classes,
            norm="BATCH",
            blocks_down=tuple(down),
            blocks_up=tuple(up),
            upsample_mode="deconv",
        )

    @property
    def layers(self) -> dict[str, nn.Module]:
        """See :attr:`VesselNetwork.layers`; ``decoder-1/1`` is the input of the last norm, ReLU and convolution."""
        *encoders, bottleneck = self.net.down_layers
        return self.named_by_role(encoders, bottleneck, self.net.up_layers[::-1], self.net.conv_final[-1].conv)
