"""Subjects of the explainer checks: small images, and small networks that read known pixels."""

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.data.case import Case, make_case
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine

SIZE = (48, 61)  # (H, W)
SIZES = (SIZE, (64, 45), (37, 37))
PLANTED_SIZE = (97, 121)  # large enough for maps that are coarse by default to tell its windows from the rest
WINDOWS = ((slice(20, 40), slice(36, 56)), (slice(56, 76), slice(66, 86)))  # rows and columns
DARK, BRIGHT, LEVEL = 0.2, 0.6, 0.4  # green of a dot, of the ground, and below which the planted network sees a dot
DOTS = 0.2  # share of the pixels that are dots; their mean with the ground, which blurring leaves, is above the level
GAINS = (12.0, 9.0, 6.0, 3.0)  # of the planted network's channels, per unit of green below the level


class SmallUNet(nn.Module):
    """A U-Net with the layer names of the bundled networks, and with what breaks methods made for classifiers.

    Activations work in place, there are batch norms and a dropout, and an image may have any size. Where the window is
    0, no layer sees the image. Without gradients it rounds the same for every batch size, as the engine ensures for a
    real network; the engine does not split passes with gradients, for which methods may batch images themselves.

    Args:
        fails_in: the number of the pass at whose end it fails, after all layers, from 1; 0 for never.
    """

    def __init__(self, fails_in: int = 0) -> None:
        super().__init__()
        self.passes_left, channels = fails_in, len(GAINS)
        with torch.random.fork_rng(devices=[]):  # layers draw initial weights from the global generator
            self.encoders = nn.ModuleList([_Reading(channels), *(_block(channels, 3, stride=2) for _ in range(3))])
            self.bottleneck = _block(channels, 3)
            self.dropout = nn.Dropout2d(0.5)
            self.enlarge = nn.ModuleList(nn.ConvTranspose2d(channels, channels, 2, stride=2) for _ in range(3))
            self.decoders = nn.ModuleList(_block(2 * channels, 1, out=channels) for _ in range(3))
            self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits."""
        if torch.is_grad_enabled():
            logits = self._logits(images)
        else:
            logits = torch.cat([self._logits(image[None].contiguous()) for image in images])
        self.passes_left -= 1
        if self.passes_left == 0:
            raise RuntimeError("the network fails on purpose")
        return logits

    def _logits(self, images: Tensor) -> Tensor:
        skips = [images]
        for encoder in self.encoders:
            skips.append(encoder(skips[-1]))
        x = self.dropout(self.bottleneck(skips[-1]))
        for enlarge, decoder, skip in zip(self.enlarge, self.decoders, skips[-2:0:-1], strict=True):
            x = decoder(torch.cat([skip, enlarge(x)[..., : skip.shape[-2], : skip.shape[-1]]], 1))
        logits: Tensor = self.head(x)
        return logits

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Layers an explainer may look at, named as those of the bundled networks are."""
        return {
            **{f"encoder-{i}": module for i, module in enumerate(self.encoders, 1)},
            "bottleneck": self.bottleneck,
            **{f"decoder-1/{4 >> i}": module for i, module in enumerate(self.decoders)},
            "last": self.head,
        }


class _Reading(nn.Module):
    """The first layer: 1 × 1 convolution, then a window."""

    window: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.register_buffer("window", torch.ones(1, 1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.features(images)
        return features * self.window


def _block(channels: int, kernel: int, stride: int = 1, out: int | None = None) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out or channels, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm2d(out or channels), nn.ReLU(inplace=True))


def random_network(fails_in: int = 0) -> SmallUNet:
    """A network in evaluation mode with random weights, the same each time; see :class:`SmallUNet`."""
    network = SmallUNet(fails_in)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                fan_in = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
                module.bias.copy_(torch.randn(module.bias.shape, generator=generator) * 0.1)
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                # Not the batch's own statistics, so that a pass in training mode shows.
                module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.2)
    return network.eval()


def blind_network() -> SmallUNet:
    """A network whose score does not depend on the image: its head has weight 0."""
    network = random_network()
    with torch.no_grad():
        network.head.weight.zero_()
    return network


def planted_network(window: tuple[slice, slice]) -> SmallUNet:
    """A network that finds dark dots inside a window only: the more and the darker, the higher its logits.

    Its first layer is ReLU(gain × (level − green)) inside the window and 0 elsewhere; later layers average it over
    neighbours with positive weights and no bias.
    """
    network = SmallUNet()
    first = network.encoders[0]
    assert isinstance(first, _Reading)
    with torch.no_grad():
        first.window = torch.zeros(1, 1, *PLANTED_SIZE)
        first.window[..., window[0], window[1]] = 1
        own = torch.eye(len(GAINS))[..., None, None]
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
                module.bias.zero_()
            if isinstance(module, nn.ConvTranspose2d):
                module.weight.copy_(own.expand(-1, -1, 2, 2))
            elif isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.weight.copy_(own.expand(-1, -1, 3, 3) / 9)
            elif isinstance(module, nn.Conv2d) and module.in_channels == 2 * len(GAINS):
                module.weight.copy_(torch.cat([own, own], 1) / 2)
        network.head.weight.fill_(4.0)
        reading = first.features[0]
        assert isinstance(reading, nn.Conv2d) and reading.bias is not None
        reading.weight.zero_()
        reading.weight[:, 1, 0, 0] = -torch.tensor(GAINS)
        reading.bias.copy_(LEVEL * torch.tensor(GAINS))
    return network.eval()


def dotted_case(size: tuple[int, int] = SIZE) -> Case:
    """A bright disc that touches the shorter sides, with dark dots, always the same; the dots are its vessels.

    Args:
        size: (H, W).
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    centre = (size[0] - 1) / 2, (size[1] - 1) / 2
    fov = np.hypot(y - centre[0], x - centre[1]) <= min(size) / 2
    dots = rng.random(size) < DOTS
    image = np.where(dots, DARK, BRIGHT) + rng.uniform(-0.03, 0.03, (3, *size))
    image = np.where(fov, np.rint(image * 255) / 255, 0).astype(np.float32)
    second = rng.random(size) < DOTS
    return make_case("dots", image, dots, fov, caliber=np.ones(size), observer2=second)


def blank_case() -> Case:
    """The same grey everywhere, all of it field of view; a few pixels in its middle are its vessels."""
    middle = np.zeros(SIZE, bool)
    middle[20:28, 25:35] = True
    image = np.full((3, *SIZE), 0.5, np.float32)
    return make_case("constant", image, middle, np.ones(SIZE, bool), caliber=np.ones(SIZE), observer2=middle)


def scorer_of(
    case: Case,
    network: SmallUNet | None = None,
    *,
    mask: Tensor | None = None,
    micro_batch: int = 1,
    device: str | torch.device = "cpu",
) -> Scorer:
    """A scorer with a fixed engine, for the case's vessels or a mask; by default of a random network."""
    mask = (case.vessels if mask is None else mask).clone()  # copies, since a method may change its target
    target = Target("conformance", mask, case.fov.clone(), mask.float(), case.scale)
    return Scorer(network or random_network(), target, device=device, engine=Engine(micro_batch))


def in_use(network: SmallUNet) -> SmallUNet:
    """The network in the middle of training: one module in evaluation mode, one weight frozen, one gradient kept."""
    network.train()
    network.bottleneck.eval()
    frozen, learning, *_ = network.parameters()
    frozen.requires_grad_(False)
    learning.grad = torch.ones_like(learning)
    return network
