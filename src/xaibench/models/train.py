"""Training of a network on a CPU, from a handful of labelled images."""

import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.models.evaluate import evaluate, predict
from xaibench.models.networks.architectures import NETWORKS
from xaibench.models.networks.vessel_network import VesselNetwork


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps: optimiser steps.
        batch: crops per step.
        crop: side of a crop, px, a multiple of the network's total stride.
        learning_rate: peak of AdamW's, after 5 % of warming up, then a cosine to 0.
        weight_decay: AdamW's.
        dice: weight of the soft Dice term beside binary cross-entropy; a large one saturates probabilities.
        jitter: strength of the photometric augmentation, 0 for none.
        average: decay of the exponential moving average of the weights; the averaged network is validated and saved.
        holdout: n holds out every n-th image for validation; 0 holds out none and validates on training images.
        validate_every: steps between validations.
        seed: of the initial weights, the crops and the augmentation.
    """

    steps: int = 2000
    batch: int = 8
    crop: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    dice: float = 0.2
    jitter: float = 1.0
    average: float = 0.995
    holdout: int = 10
    validate_every: int = 200
    seed: int = 0


# Called after each step with the number of steps done, the loss, and the validation figures if they are new.
Progress = Callable[[int, float, dict[str, float] | None], None]


def train(
    cases: Sequence[Case], recipe: Recipe, *, network: str = "unet", progress: Progress
) -> tuple[VesselNetwork, dict[str, Any]]:
    """Train a network; a ``KeyboardInterrupt`` after the first validation ends it early with the best weights so far.

    Args:
        cases: training images, of which the recipe's holdout is used for validation only.
        recipe: the hyper-parameters.
        network: its kind, one of :data:`~xaibench.models.networks.architectures.NETWORKS`.
        progress: called after each step.

    Returns:
        The network in evaluation mode, and the facts for its card: recipe, data digest, validation figures, cost.

    Raises:
        UserError: if there are no cases, or an image is smaller than a crop.
    """
    validation = list(cases[recipe.holdout - 1 :: recipe.holdout]) if recipe.holdout else []
    held = {c.id for c in validation}
    training = [case for case in cases if case.id not in held]
    samples = [_sample(case, recipe.crop) for case in training]
    if not samples:
        raise UserError(f"There are {len(cases)} cases and none is left to train on.", "Give more, or holdout 0.")
    validation = validation or list(cases[: min(4, len(cases))])
    mean, std = _statistics(samples)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = NETWORKS[network](mean=mean, std=std)  # type: ignore[call-arg]
    torch.nn.init.constant_(model.layers["last"].bias, -2.0)  # type: ignore[arg-type]  # about one pixel in eight
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    best, facts = _optimise(model, samples, validation, recipe, progress)
    return best.eval(), facts | {
        "recipe": asdict(recipe),
        "data_digest": hashlib.sha256("".join(case.digest for case in training).encode()).hexdigest()[:16],
        "training_images": len(samples),
        "validation_images": sorted(held),
    }


def _optimise(
    model: VesselNetwork,
    samples: list[np.ndarray],
    validation: list[Case],
    recipe: Recipe,
    progress: Progress,
) -> tuple[VesselNetwork, dict[str, Any]]:
    optimiser = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    warm = max(1, recipe.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min((s + 1) / warm, 0.5 * (1 + np.cos(np.pi * min(1.0, s / recipe.steps)))),
    )
    rng, averaged = np.random.default_rng(recipe.seed), copy.deepcopy(model)
    best, best_figures, step = copy.deepcopy(model), dict[str, float](ap=-1.0), 0
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        while step < recipe.steps:
            model.train()
            images, vessels, fov = _draw(samples, recipe, rng)
            loss = segmentation_loss(model(images), vessels, fov, recipe.dice)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            step += 1
            _average(averaged, model, min(recipe.average, step / (step + 10)))
            new = None
            if step % recipe.validate_every == 0 or step == recipe.steps:
                averaged.eval()
                new = evaluate(lambda image: predict(averaged, image), validation).pooled
                if not new["ap"] <= best_figures["ap"]:  # NaN, where nothing can be validated, replaces the best
                    best, best_figures = copy.deepcopy(averaged), {**new, "step": step}
            progress(step, float(loss.detach()), new)
    except KeyboardInterrupt:
        if best_figures["ap"] < 0:
            raise
    return best, {
        "validation": best_figures,
        "steps_done": step,
        "wall_minutes": round((time.perf_counter() - wall) / 60, 1),
        "cpu_minutes": round((time.process_time() - cpu) / 60, 1),
    }


def segmentation_loss(logits: Tensor, vessels: Tensor, fov: Tensor, dice: float) -> Tensor:
    """Binary cross-entropy plus ``dice`` × soft Dice loss, over field-of-view pixels only.

    Args:
        logits: (N, 1, H, W).
        vessels, fov: (N, 1, H, W) in {0, 1}.
        dice: weight of the Dice term.

    Returns:
        A scalar; 0 if there is no pixel of the field of view.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, vessels, weight=fov, reduction="sum") / fov.sum().clamp(min=1)
    probability = logits.sigmoid() * fov
    overlap = (2 * (probability * vessels).sum() + 1) / (probability.sum() + (vessels * fov).sum() + 1)
    return entropy + dice * (1 - overlap)


def _average(averaged: VesselNetwork, model: VesselNetwork, decay: float) -> None:
    with torch.no_grad():
        for a, b in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - decay)
            else:
                a.copy_(b)


def _sample(case: Case, crop: int) -> np.ndarray:
    """(5, H, W) uint8: the image, the vessels and the field of view of a case.

    Raises:
        UserError: if the image is smaller than a crop.
    """
    height, width = case.fov.shape
    if min(height, width) < crop:
        raise UserError(
            f"Case {case.id} is {width} × {height} px, smaller than a crop of {crop} px.", "Set a smaller crop."
        )
    return np.concatenate([(case.image * 255).round().byte().numpy(), case.vessels[None], case.fov[None]])


def _statistics(samples: list[np.ndarray]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of red, green and blue over every seventh pixel of the fields of view."""
    pixels = np.concatenate([s[:3, s[4] > 0][:, ::7] for s in samples], axis=1) / 255
    return pixels.mean(1).round(4).tolist(), pixels.std(1).round(4).tolist()


def _draw(samples: list[np.ndarray], recipe: Recipe, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of augmented crops: images (N, 3, crop, crop), vessels and FOV (N, 1, crop, crop), float32."""
    images, masks = [], []
    for _ in range(recipe.batch):
        sample = samples[rng.integers(len(samples))]
        height, width = sample.shape[1:]
        y, x = rng.integers(height - recipe.crop + 1), rng.integers(width - recipe.crop + 1)
        crop = np.rot90(sample[:, y : y + recipe.crop, x : x + recipe.crop], int(rng.integers(4)), (-2, -1))
        crop = crop[..., ::-1] if rng.random() < 0.5 else crop
        images.append(_jitter(crop[:3].astype(np.float32) / 255, recipe.jitter, rng))
        masks.append(crop[3:].astype(np.float32))
    vessels, fov = torch.from_numpy(np.stack(masks)).split(1, dim=1)
    return torch.from_numpy(np.stack(images)).to(memory_format=torch.channels_last), vessels, fov


def _jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Photometric augmentation: gamma, gain and offset, common to all channels and per channel."""
    gamma = np.exp(strength * (0.15 * rng.normal() + 0.1 * rng.normal(size=(3, 1, 1))))
    gain = np.exp(strength * (0.15 * rng.normal() + 0.1 * rng.normal(size=(3, 1, 1))))
    offset = strength * 0.03 * (rng.normal() + rng.normal(size=(3, 1, 1)))
    changed = image**gamma * gain + offset
    return np.clip(changed, 0, 1).astype(np.float32)
