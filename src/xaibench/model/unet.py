"""The reference network: a MONAI U-Net with a full-resolution level, and names for its layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.simplelayers import SkipConnection
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional as F


class VesselUNet(nn.Module):
    """A MONAI ``UNet`` (Ronneberger 2015; Kerfoot 2018) from RGB in [0, 1] to vessel logits, of any image size.

    Batch norm and ReLU only, so that every attribution rule applies. The input is standardised with constants that are
    stored with the weights: no statistic of the picture enters, so removing pixels shifts nothing elsewhere and the
    network stays a local function of its input. Sizes that the strides do not divide are padded at the right and
    bottom by repeating the border, and the output is cut back.

    MONAI's network ends in ``channels[0]`` feature channels at full resolution, which a 1 × 1 convolution, the head,
    turns into logits. Were MONAI to give the one channel itself, its residual units would put a batch norm and a ReLU
    on a single channel before the last convolution: every clear background pixel would have the same logit.

    Args:
        channels: feature channels per level; the head reads as many as the first level has.
        strides: the step between levels; a first 1 keeps a level at full resolution.
        mean, std: constants of standardisation, per RGB channel.
    """

    card: dict[str, Any]
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        channels: Sequence[int] = (8, 16, 32, 64, 128),
        strides: Sequence[int] = (1, 2, 2, 2),
        mean: Sequence[float] = (0.5, 0.3, 0.2),
        std: Sequence[float] = (0.2, 0.15, 0.1),
    ) -> None:
        super().__init__()
        self.card = {}  # what load_weights read of the weights
        self.architecture: dict[str, Any] = {"channels": list(channels), "strides": list(strides)}
        self.net = UNet(
            spatial_dims=2,
            in_channels=3,
            out_channels=channels[0],
            channels=channels,
            strides=strides,
            num_res_units=2,
            act="RELU",
            norm="BATCH",
        )
        self.head = nn.Conv2d(channels[0], 1, kernel_size=1)
        self.multiple = math.prod(strides)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits."""
        height, width = images.shape[-2:]
        x = (images - self.mean) / self.std
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        logits: Tensor = self.head(self.net(x))
        return logits[..., :height, :width]

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Layers an explainer may look at, by what they are, in the order in which data passes.

        ``encoder-1`` …, ``bottleneck``, ``decoder-1/4``, ``decoder-1/2``, ``decoder-1/1`` (the fraction is the
        resolution), ``last``: the head, whose one channel is the logit map. The topmost decoder is none of them, since
        only linear maps follow it: a class activation map there would be the logit map in disguise.
        """
        encoders: list[nn.Module] = []
        decoders: list[nn.Module] = []
        level: nn.Module = self.net.model
        while type(level) is nn.Sequential:  # its subclass Convolution ends the nesting
            down, skip, up = level
            assert isinstance(skip, SkipConnection)
            encoders.append(down)
            decoders.append(up)
            level = skip.submodule
        named = {f"encoder-{i}": m for i, m in enumerate(encoders, 1)} | {"bottleneck": level}
        strides = self.architecture["strides"]
        scale = 1
        scales = [scale := scale * s for s in [1, *strides]]  # of what each decoder returns
        for decoder, s in reversed(list(zip(decoders[1:], scales[1:], strict=False))):
            named[f"decoder-1/{s}"] = decoder
        named["last"] = self.head
        return named
