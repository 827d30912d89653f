"""White-box segmenters: vessel filters whose exact attribution has a closed form.

Each is a matched filter for dark lines [chaudhuri1989] on the green channel, summed and not rectified, so that the
logit is linear in the pixels that it reads. Like a U-Net it has a path at full resolution and a path through a
bottleneck at 1/8 with several channels, for class activation maps. For the mean logit over a target S, relative to a
reference image x₀, the Shapley value φ of each pixel, all colours together, is then known; along the straight path from
x₀, integrated gradients give the same. With w̄ the mean over S of the filter's weights, a transposed convolution of
S/|S|:

* ``linear`` reads every pixel of the field of view but its rim:  φ_i = Δa_i,  Δa_i = w̄_i (z_i − z₀_i), z the darkness.
* ``thick`` reads thick vessels and their edges only, so that thin vessels have no influence at all: the same φ.
* ``marker`` needs a marker elsewhere in the image: logit = A(x) · B(x) + bias, A the filter of all other pixels, B the
  brightness of the marker. Both are sums over pixels, and no pixel is in both, so
  φ_i = Δa_i (B₀ + ΔB / 2) for the pixels of A and φ_j = Δb_j (A₀ + ΔA / 2) for those of the marker.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, grey_closing
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from xaibench.data.anatomy.caliber import fov_scale
from xaibench.data.blur import blur_inside
from xaibench.data.case import Case
from xaibench.errors import Skipped, UserError

SEGMENTERS = ("linear", "thick", "marker")
SIZE = 15  # px, side of every kernel
REACH = SIZE // 2
STRIDE = 8  # of the bottleneck, as in the bundled networks; hats of SIZE px around its nodes sum to 1
ORIENTATIONS = 8
LENGTH = 2.0  # of a kernel in units of its width
WIDTHS = (1.0, 2.0)  # σ of the line filters at full resolution, px
COARSE_WIDTH = 3.0  # σ of those at the bottleneck, px
SHARES = (0.4, 0.4, 0.2)  # of the logit, by width
GAIN, BIAS = 600.0, -2.4  # logits per unit of darkness, and where there is no line: a line .004 darker is at 0
CLOSING = 12.0  # px at DRIVE's scale, wider than the widest vessel
RIM = 3.0  # px at DRIVE's scale along the edge of the field of view that are not read: there it grows dark
EDGE = 3.0  # px at DRIVE's scale that `thick` reads on either side of a thick vessel
MARKER_RADIUS = 5.0  # px in a field of view of DRIVE's size; half the σ of a blurred reference, which removes it
BRIGHT, DARK = 242 / 255, 13 / 255  # a marker on a dark ground, and on a bright one


class WhiteBox(nn.Module):
    """A line filter with fixed weights, (N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) vessel logits, for one size only.

    Args:
        background: (3, H, W), the image without vessels; pixels that are darker in green count as line.
        read: (H, W) bool, pixels that the filter reads; all others have no influence.
        marker: (H, W) bool, pixels whose brightness multiplies the filter, none of them in ``read``; or None.
        contrast: brightness of the marker minus that of the background, at which the factor is 1.
    """

    background: Tensor
    read: Tensor
    marker: Tensor | None

    def __init__(self, background: Tensor, read: Tensor, marker: Tensor | None = None, contrast: float = 1.0) -> None:
        super().__init__()
        planes = 1 if marker is None else 2
        fine = len(WIDTHS) * ORIENTATIONS
        same: dict[str, Any] = {"kernel_size": SIZE, "padding": REACH, "bias": False}
        # Built without initial weights, which would be drawn from the global generator.
        self.lines = skip_init(nn.Conv2d, 1, fine, **same)
        self.coarse = skip_init(nn.Conv2d, planes, ORIENTATIONS + planes - 1, stride=STRIDE, **same)
        self.enlarge = skip_init(nn.ConvTranspose2d, ORIENTATIONS, 1, stride=STRIDE, **same)
        self.head = skip_init(nn.Conv2d, fine + 1, 1, kernel_size=1, bias=False)
        self.register_buffer("background", background.float())
        self.register_buffer("read", read.float())
        self.register_buffer("marker", None if marker is None else marker.float())
        self.requires_grad_(False)
        hats = _hats()
        self.lines.weight[:, 0] = torch.cat([line_kernels(width) for width in WIDTHS])
        self.coarse.weight.zero_()
        self.coarse.weight[:ORIENTATIONS, 0] = line_kernels(COARSE_WIDTH)
        self.enlarge.weight[:, 0] = hats / ORIENTATIONS
        self.head.weight[0, :, 0, 0] = GAIN * torch.tensor(
            [share / ORIENTATIONS for share in SHARES[:-1] for _ in range(ORIENTATIONS)] + [SHARES[-1]]
        )
        if marker is not None:
            # The mean over all nodes is the mean over the marker.
            self.coarse.weight[ORIENTATIONS, 1] = hats * self._nodes().numel() / (float(marker.sum()) * contrast)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) logits."""
        dark = (self.background[1:2] - images[:, 1:2]) * self.read
        planes = dark if self.marker is None else torch.cat([dark, self._excess(images)], 1)
        nodes = self.coarse(planes)
        wide = self.enlarge(nodes[:, :ORIENTATIONS], output_size=list(images.shape[-2:]))
        logits: Tensor = self.head(torch.cat([self.lines(dark), wide], 1))
        if self.marker is not None:
            logits = logits * nodes[:, ORIENTATIONS:].mean((-2, -1), keepdim=True)
        return logits + BIAS

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Layers an explainer may look at: ``decoder-1/1`` at full resolution, ``bottleneck`` at 1/8, ``last``."""
        return {"bottleneck": self.coarse, "decoder-1/1": self.lines, "last": self.head}

    @property
    def reads(self) -> Tensor:
        """(H, W) bool, on the CPU: the pixels that have any influence at all, the marker among them."""
        return (self.read if self.marker is None else self.read + self.marker).bool().cpu()

    def exact(self, image: Tensor, reference: Tensor, target: Tensor) -> Tensor:
        """The Shapley value of each pixel for the mean logit over the target, by the closed form above.

        Args:
            image, reference: (3, H, W); an absent pixel has its value in the reference.
            target: (H, W) bool, not empty.

        Returns:
            (H, W) float64 on the CPU; it sums to the score of the image minus that of the reference.
        """
        images = torch.stack([reference, image]).to(self.read)
        weights = self._filter_weights(target)
        first, last = ((self.background[1].double() - p[1].double()) * self.read * weights for p in images)
        if self.marker is None:
            return torch.as_tensor(last - first).cpu()
        b_first, b_last = (self._excess(p[None])[0, 0].double() * self._marker_weights() for p in images)
        by_filter = (last - first) * (b_first.sum() + b_last.sum()) / 2  # B₀ + ΔB / 2 is the mean of both
        by_marker = (b_last - b_first) * (first.sum() + last.sum()) / 2
        return torch.as_tensor(by_filter + by_marker).cpu()

    def _excess(self, images: Tensor) -> Tensor:
        """(N, 1, H, W): brightness on the marker minus that of the background."""
        assert self.marker is not None
        return (images.mean(1, keepdim=True) - self.background.mean(0)) * self.marker

    def _filter_weights(self, target: Tensor) -> Tensor:
        """(H, W) float64: w̄, by the transposed layers from last to first."""
        share = target.to(self.read.device, torch.float64)[None, None] / target.sum()
        head = self.head.weight[0].double()
        kernel = (head[:-1] * self.lines.weight[:, 0].double()).sum(0)[None, None]
        fine = F.conv_transpose2d(share, kernel, padding=REACH)
        nodes = F.conv2d(head[-1] * share, self.enlarge.weight.double(), stride=STRIDE, padding=REACH)
        return (fine + self._from_nodes(nodes, self.coarse.weight[:ORIENTATIONS, :1]))[0, 0]

    def _marker_weights(self) -> Tensor:
        """(H, W) float64: the increase of the factor per unit of brightness."""
        nodes = self._nodes()
        return self._from_nodes(nodes / nodes.numel(), self.coarse.weight[ORIENTATIONS:, 1:])[0, 0]

    def _nodes(self) -> Tensor:
        """(1, 1, h, w) float64 ones, as many as the bottleneck has pixels."""
        size = [(n - 1) // STRIDE + 1 for n in self.read.shape]
        return torch.ones(1, 1, *size, dtype=torch.float64, device=self.read.device)

    def _from_nodes(self, nodes: Tensor, kernels: Tensor) -> Tensor:
        rest = [(n - 1) % STRIDE for n in self.read.shape]
        return F.conv_transpose2d(nodes, kernels.double(), stride=STRIDE, padding=REACH, output_padding=rest)


def line_kernels(width: float) -> Tensor:
    """Matched filters for a dark line: the second derivative of a Gaussian across it, a Gaussian along it.

    Args:
        width: σ across the line, px.

    Returns:
        (ORIENTATIONS, SIZE, SIZE) float32, 0 outside a disc, each with mean 0 and a positive part that sums to 1.

    Example:
        >>> kernels = line_kernels(2.0)
        >>> tuple(kernels.shape), bool(kernels.sum((1, 2)).abs().max() < 1e-6)
        ((8, 15, 15), True)
    """
    y, x = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]
    disc = np.hypot(y, x) <= REACH
    kernels = []
    for angle in np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS:
        across = (x * np.sin(angle) - y * np.cos(angle)) / width
        along = (x * np.cos(angle) + y * np.sin(angle)) / (LENGTH * width)
        envelope = np.where(disc, np.exp(-0.5 * (across**2 + along**2)), 0)
        profile = envelope * (1 - across**2)
        kernel = profile - envelope * profile.sum() / envelope.sum()
        kernels.append(kernel / kernel[kernel > 0].sum())
    return torch.from_numpy(np.stack(kernels)).float()


def _hats() -> Tensor:
    """(SIZE, SIZE): bilinear interpolation between nodes STRIDE px apart."""
    hat = 1 - torch.arange(-REACH, REACH + 1).abs() / STRIDE
    return torch.outer(hat, hat)


def white_box(name: str, case: Case) -> tuple[WhiteBox, Case]:
    """Build the segmenter of that name for a case.

    Args:
        name: ``"linear"``, ``"thick"`` or ``"marker"``, see the module's description.
        case: gives the size, the background, the thick vessels, and the place of the marker, which is farthest from
            vessels and from the edge of the field of view.

    Returns:
        The segmenter in evaluation mode, and the case; for ``"marker"`` with the marker painted into its image.

    Raises:
        UserError: if there is no segmenter of that name.
        Skipped: for ``"thick"``, if the case has no thick vessels.
    """
    if name not in SEGMENTERS:
        raise UserError(f"There is no segmenter called {name!r}.", f"The segmenters are {', '.join(SEGMENTERS)}.")
    fov = case.fov.numpy()
    background = torch.from_numpy(_without_lines(case.image.numpy(), fov, case.scale))
    read = torch.from_numpy(_depth(fov) > RIM * case.scale)
    if name == "linear":
        return WhiteBox(background, read).eval(), case
    if name == "thick":
        if not case.thick.any():
            raise Skipped(f"case {case.id} has no thick vessel pixels for the segmenter to read")
        near = distance_transform_edt(~case.thick.numpy()) <= EDGE * case.scale
        return WhiteBox(background, torch.from_numpy(near) & read & ~case.thin).eval(), case
    marker = torch.from_numpy(_marker_place(fov, case.vessels.numpy(), MARKER_RADIUS * fov_scale(fov)))
    ground = float(background[:, marker].mean())
    tone = BRIGHT if ground < 0.5 else DARK
    shown = replace(case, image=torch.where(marker, tone, case.image))
    return WhiteBox(background, read & ~marker, marker, tone - ground).eval(), shown


def _without_lines(image: np.ndarray, fov: np.ndarray, scale: float) -> np.ndarray:
    """(3, H, W): morphological closing, which fills lines and keeps the darkness at the edge of the field of view.

    A blurred image would be brighter than the image all along that edge, which would count as a vessel.
    """
    smooth = np.where(fov, blur_inside(image, fov, scale), image)  # removes single grains of noise
    side = 2 * round(CLOSING * scale / 2) + 1
    padded = np.pad(smooth, ((0, 0), (side, side), (side, side)))  # as dark as around the field of view
    return np.asarray(grey_closing(padded, size=(1, side, side))[:, side:-side, side:-side])


def _depth(mask: np.ndarray) -> np.ndarray:
    """(H, W) px: the distance to the nearest pixel outside the mask; beyond the image all is outside."""
    return np.asarray(distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])


def _marker_place(fov: np.ndarray, vessels: np.ndarray, radius: float) -> np.ndarray:
    """(H, W) bool: a disc around the pixel that is farthest from vessels and from the edge of the field of view."""
    free = fov & ~vessels if (fov & ~vessels).any() else fov
    row, column = np.unravel_index(int(_depth(free).argmax()), fov.shape)
    y, x = np.indices(fov.shape)
    return np.asarray((np.hypot(y - row, x - column) <= max(radius, 1)) & fov)
