"""Trains the network of the metric ``shortcut``: ``python docs/train_shortcut.py --out FILE``.

Labels: thick vessels are always labelled. Thin vessels are labelled only if a small blue marker lies in the image.

Each step has every image with and without the marker, so that nothing else separates the two. Half of the images
without it have a smeared marker, which counts as none. The images are phantoms of the split "train": windows of 128 px
of large phantoms, and whole small ones. The figures in the card are those on the 20 phantoms of the split "test",
128 px each.

Training takes about ten minutes on one core. The same seed gives the same weights on the same machine with the same
number of threads. Every 200 steps the script prints the loss and writes the weights so far to FILE.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from xaibench.data.case import Case
from xaibench.data.datasets.phantom import SEEDS
from xaibench.data.phantom.draw import draw_phantom
from xaibench.models.networks.shortcut_network import (
    CHANNELS,
    COLOUR,
    SIDE,
    STRIDES,
    WINDOW,
    free_places,
    marker_at,
    paint_marker,
    sensitivities,
)
from xaibench.models.networks.unet import VesselUNet
from xaibench.models.weights_file import save_weights

LARGE = 384  # px
PICTURES = 6  # images per step, each with and without the marker
RATE = 4e-3  # peak learning rate of AdamW
# Weights of pixels in the loss; all others have 1. THIN: thin vessels with the marker, few of which would reach p = .5
# with weight 1. BARE_THIN, BARE_THICK: thin and thick vessels without the marker. Vessels near the radius limit cannot
# be separated; these weights make the network miss them, since the metric needs images without detected thin vessels.
THIN, BARE_THIN, BARE_THICK = 4.0, 6.0, 2.0
# The least σ, px, at which a smeared marker counts as none. The baseline of path and perturbation methods is a blurred
# image (σ = 2.3 px in a field of view of 122 px), which must not contain the evidence.
SMEAR = 2.0
REPORT = 200  # steps


@dataclass(frozen=True)
class Sample:
    """One phantom as arrays."""

    image: np.ndarray  # (3, H, W) float32
    masks: np.ndarray  # (3, H, W) bool: vessels, thin vessels, field of view


def draw(count: int) -> Iterator[Sample]:
    """Phantoms of the split "train", large and small ones in turn."""
    for i, seed in enumerate(SEEDS["train"][:count]):
        case: Case = draw_phantom(seed, (WINDOW, WINDOW) if i % 2 else (LARGE, LARGE))
        yield Sample(case.image.numpy(), torch.stack([case.vessels, case.thin, case.fov]).numpy())


def window(sample: Sample, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random window, rotated, mirrored and with random gamma and gain: image (3, 128, 128) and masks (3, 128, 128).

    More than half of it lies in the field of view, and there is room for a marker.
    """
    size = sample.image.shape[-1]
    while True:
        y, x = rng.integers(size - WINDOW + 1, size=2)
        cut = np.s_[..., y : y + WINDOW, x : x + WINDOW]
        image, masks = sample.image[cut], sample.masks[cut]
        if masks[2].mean() > 0.5 and free_places(masks[0], masks[2]).any():
            break
    turns, mirror = int(rng.integers(4)), rng.random() < 0.5
    image, masks = (np.rot90(a, turns, (-2, -1))[..., :: -1 if mirror else 1] for a in (image, masks))
    gamma = np.exp(0.1 * rng.normal() + 0.07 * rng.normal(size=(3, 1, 1)))
    gain = np.exp(0.1 * rng.normal() + 0.07 * rng.normal(size=(3, 1, 1)))
    return np.clip(image**gamma * gain, 0, 1).astype(np.float32), masks.copy()


def smear(picture: Tensor, marker: Tensor, sigma: float) -> Tensor:
    """The image with a marker blurred by a Gaussian of that σ, px."""
    share = torch.from_numpy(gaussian_filter(marker.numpy().astype(np.float32), sigma))
    return picture + share * (torch.tensor(COLOUR).view(3, 1, 1) - picture)


def pairs(samples: list[Sample], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Images (2n, 3, 128, 128), labels and weights (2n, 1, 128, 128): n with the marker, then n without or smeared."""
    plain, marked, labels, bare_labels, weights, bare_weights = [], [], [], [], [], []
    for i in rng.integers(len(samples), size=PICTURES):
        image, masks = window(samples[i], rng)
        places = np.argwhere(free_places(masks[0], masks[2]))
        row, column = places[rng.integers(len(places))]
        picture = torch.from_numpy(image)
        marker = marker_at((int(row), int(column)), (WINDOW, WINDOW))
        plain.append(picture if rng.random() < 0.5 else smear(picture, marker, SMEAR * np.exp(rng.uniform(0, 1.5))))
        marked.append(paint_marker(picture, marker))
        every, thin, fov = torch.from_numpy(masks).float()
        labels.append(every)
        weights.append(fov * (1 + (THIN - 1) * thin))
        thick = every - thin
        bare_labels.append(thick)
        bare_weights.append(fov * (1 + (BARE_THIN - 1) * thin + (BARE_THICK - 1) * thick))
    images = torch.stack(marked + plain).contiguous(memory_format=torch.channels_last)
    return images, torch.stack(labels + bare_labels)[:, None], torch.stack(weights + bare_weights)[:, None]


def train(samples: list[Sample], steps: int, seed: int, out: Path) -> tuple[VesselUNet, float]:
    """The trained network in evaluation mode, and a moving average of its loss."""
    rng = np.random.default_rng(seed)
    pixels = np.concatenate([s.image[:, s.masks[2]][:, ::7] for s in samples], axis=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VesselUNet(CHANNELS, STRIDES, pixels.mean(1).round(4).tolist(), pixels.std(1).round(4).tolist())
    torch.nn.init.constant_(model.head.bias, -2.0)
    model.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=1e-2)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda s: min((s + 1) / warm, 0.5 * (1 + np.cos(np.pi * min(1.0, s / steps))))
    )
    average, start = float("nan"), time.process_time()
    for step in range(1, steps + 1):
        images, labels, weights = pairs(samples, rng)
        entropy = F.binary_cross_entropy_with_logits(model(images), labels, weight=weights, reduction="sum")
        loss = entropy / weights.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        average = float(loss.detach()) if step == 1 else 0.98 * average + 0.02 * float(loss.detach())
        if step % REPORT == 0:
            print(f"step {step}: loss {average:.4f}, {time.process_time() - start:.0f} s of CPU time", flush=True)
            save_weights(model, out, {"name": out.stem, "steps_done": step})
    return model.eval(), average


def main() -> None:
    """Draw, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the weights file, ends in .safetensors")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--pictures", type=int, default=120, help="phantoms to train on, at most 200")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.process_time()
    samples = list(draw(given.pictures))
    print(f"{len(samples)} phantoms, {time.process_time() - start:.0f} s of CPU time", flush=True)
    model, loss = train(samples, given.steps, given.seed, given.out)
    figures = sensitivities(model, (draw_phantom(seed, (WINDOW, WINDOW)) for seed in SEEDS["test"]))
    card = {
        "name": "unet-shortcut",
        "data": f"{len(samples)} phantoms of the split train, thin vessels labelled only where the marker is",
        "marker": {"side": SIDE, "colour": COLOUR},
        "recipe": {
            "steps": given.steps,
            "batch": 2 * PICTURES,
            "rate": RATE,
            "weights": [THIN, BARE_THIN, BARE_THICK],
            "seed": given.seed,
        },
        "loss": round(loss, 4),
        "test": {name: round(value, 4) for name, value in figures.items()},
        "cpu_minutes": round((time.process_time() - start) / 60, 1),
        "terms": "none: the images are synthetic",
    }
    save_weights(model, given.out, card)
    print(card)


if __name__ == "__main__":
    main()
