"""The reference network: a MONAI U-Net with a full-resolution level."""

from collections.abc import Sequence

from monai.networks.layers.simplelayers import SkipConnection
from monai.networks.nets.unet import UNet
from torch import Tensor, nn

from xaibench.models.network_interface import INTERFACE
from xaibench.models.networks.vessel_network import MEAN, STD, VesselNetwork


class VesselUNet(VesselNetwork):
    """A MONAI ``UNet`` [ronneberger2015; kerfoot2018] with residual units, batch norm and ReLU only.

    MONAI's network ends in ``channels[0]`` feature channels at full resolution, which a 1 × 1 convolution, the head,
    maps to logits. With one output channel, MONAI's residual units would put a batch norm and a ReLU on that channel
    before the last convolution: every clear background pixel would have the same logit.

    Args:
        channels: feature channels per level; the head reads as many as the first level has.
        strides: the step between levels; a first 1 keeps a level at full resolution.
        mean, std: constants of standardisation, per RGB channel.
    """

    kind = "unet"

    def __init__(
        self,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        strides: Sequence[int] = (1, 2, 2, 2),
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__({"channels": list(channels), "strides": list(strides)}, strides, mean, std)
        self.net = UNet(
            spatial_dims=len(INTERFACE.axes),
            in_channels=INTERFACE.channels,
            out_channels=channels[0],
            channels=channels,
            strides=strides,
            num_res_units=2,
            act="RELU",
            norm="BATCH",
        )
        self.head = nn.Conv2d(channels[0], INTERFACE.classes, kernel_size=1)

    def logits(self, x: Tensor) -> Tensor:
        """See :meth:`VesselNetwork.logits`."""
        logits: Tensor = self.head(self.net(x))
        return logits

    @property
    def layers(self) -> dict[str, nn.Module]:
        """See :attr:`VesselNetwork.layers`; the topmost decoder is left out, since only linear maps follow it."""
        encoders: list[nn.Module] = []
        decoders: list[nn.Module] = []
        level: nn.Module = self.net.model
        while type(level) is nn.Sequential:  # its subclass Convolution ends the nesting
            down, skip, up = level
            assert isinstance(skip, SkipConnection)
            encoders.append(down)
            decoders.append(up)
            level = skip.submodule
        return self.named_by_role(encoders, level, decoders[1:], self.head)
