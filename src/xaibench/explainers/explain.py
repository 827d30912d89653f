"""Calling an explainer so that it leaves nothing behind and gives a legal map."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.registry import Plugin, Spec, parse
from xaibench.scorer import Scorer


def explain(
    scorer: Scorer,
    image: Tensor,
    *,
    method: str | Spec | Plugin | Callable[..., Any],
    seed: int = 0,
    case: Case | None = None,
) -> Tensor:
    """The attribution map of one method for one image.

    Args:
        scorer: network and target.
        image: (3, H, W) RGB in [0, 1].
        method: such as ``"gradcam[layer=last]"``, or a function ``(scorer, image, *, rng) -> (H, W)``.
        seed: with the method and the image it decides all chance in the map.
        case: for controls that see labels only.

    Returns:
        (H, W) float32 on the CPU.

    Raises:
        UserError: for an unknown method or parameter, or a control that needs labels without a case.
        ValueError: if the method returned a map of another size, or values that are complex or not finite.
        Skipped: if the method cannot work on this network or target.
    """
    spec = method if isinstance(method, Spec) else parse("explainer", method)
    check_labels(spec, case)
    labels: dict[str, Any] = {"case": case} if spec.plugin.traits.sees_labels else {}
    rng = map_rng(seed, spec, image)
    with global_chance(int(rng.spawn(1)[0].integers(2**32))), _gradients():
        # A copy, so that a method which works in place, or asks for gradients there, spoils nobody else's image.
        result = spec.plugin(scorer, image.detach().clone(), rng=rng, **dict(spec.given), **labels)
    given = torch.as_tensor(result)
    if given.is_complex():
        raise ValueError(f"{spec} returned complex numbers, of which no order is known")
    map_ = given.detach().to("cpu", torch.float32)
    if map_.shape != image.shape[1:]:
        raise ValueError(f"{spec} returned a map of shape {tuple(map_.shape)}, not {tuple(image.shape[1:])}")
    if not torch.isfinite(map_).all():
        raise ValueError(f"{spec} returned values that are not finite; a map may be all zero, never NaN")
    return map_


def check_labels(spec: Spec, case: Case | None) -> None:
    """Refuse a control that reads labels where there are none.

    Raises:
        UserError: then.
    """
    if spec.plugin.traits.sees_labels and case is None:
        raise UserError(f"{spec} reads the labels, and none were given.", "Pass case=….")
    if spec.plugin.traits.sees_labels and case is not None and not case.labelled:
        raise UserError(f"{spec} reads the labels, and {case.id} has none.", "Leave it out.")


def map_rng(seed: int, spec: Spec, image: Tensor) -> np.random.Generator:
    """A generator that depends on the seed, the method and the image, and not on the order of work."""
    picture = zlib.crc32(np.ascontiguousarray(image.cpu().numpy()).tobytes())
    return np.random.default_rng([seed, zlib.crc32(str(spec).encode()), picture])


@contextmanager
def _gradients() -> Iterator[None]:
    """Gradients are on also where the caller, such as a library's metric, has them off.

    What the block itself switches off stays off, to be noticed by whoever looks after it.
    """
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    try:
        yield
    finally:
        if torch.is_grad_enabled():
            torch.set_grad_enabled(before)


@contextmanager
def global_chance(seed: int) -> Iterator[None]:
    """Seeds the global generators, which some libraries draw from, and undoes afterwards what was done to them."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is the global state that is kept
    with torch.random.fork_rng():
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.default_generator.manual_seed(seed)  # what torch.manual_seed does, without devices not in use
            if torch.cuda.is_initialized():
                torch.cuda.manual_seed_all(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
