"""Calling an explainer: it gets only what it names, leaves no trace, and its result becomes one (H, W) map."""

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.models.network_interface import INTERFACE
from xaibench.registry import ExplainerTraits, Plugin, Spec, parse
from xaibench.scorer import Scorer
from xaibench.scorer.batching import evaluating

Method = str | Spec[ExplainerTraits] | Plugin[ExplainerTraits] | Callable[..., Any]


def explain(
    scorer: Scorer,
    image: Tensor,
    *,
    method: Method,
    seed: int = 0,
    case: Case | None = None,
    watch: Callable[[Tensor], AbstractContextManager[object]] = nullcontext,
) -> Tensor:
    """The attribution map of one method for one image.

    Args:
        scorer: network and target.
        image: (3, H, W) RGB in [0, 1].
        method: such as ``"gradcam[layer=last]"``, or a function ``(scorer, image) -> (H, W)``.
        seed: together with the method and the image it determines a stochastic map.
        case: for controls that see labels only.
        watch: a context manager around the call of the method, given the copy of the image that the method gets.

    Returns:
        (H, W) float32 on the CPU. A result of shape (3, H, W) is summed over its channels; a leading 1 is dropped.

    Raises:
        UserError: for an unknown method or parameter, or a control that needs labels without a case.
        ValueError: if the method returned something that is no map of this image.
        Skipped: if the method cannot work on this network or target.
    """
    spec = method if isinstance(method, Spec) else parse("explainer", method)
    check_labels(spec, case)
    labels = {"case": case} if spec.plugin.traits.sees_labels else {}
    rng = map_rng(seed, spec, image)
    copy = image.detach().clone()  # a method may work in place, or ask for gradients there
    chance = int(rng.spawn(1)[0].integers(2**32))
    with seeded_globally(chance), _gradients(scorer.model), evaluating(scorer.model), watch(copy):
        result = spec(scorer=scorer, image=copy, rng=rng, **labels)
    try:
        return as_map(result, (image.shape[1], image.shape[2]))
    except ValueError as error:
        raise ValueError(f"{spec} returned {error}") from None


def as_map(result: Any, size: tuple[int, int]) -> Tensor:
    """What an explainer returned as one map.

    Args:
        result: a tensor on any device or a NumPy array, real, of shape (H, W), (1, H, W), (3, H, W) or these with a
            leading 1. Channels are summed, as is usual for gradients with respect to the image.
        size: (H, W).

    Returns:
        (H, W) float32 on the CPU, without a graph.

    Raises:
        ValueError: for anything else; the message ends with what to change.
    """
    given = _tensor(result)
    if given.is_complex():
        raise ValueError("complex numbers, which have no order: return their real part or their absolute value")
    map_ = given.detach().cpu()
    map_ = map_ if map_.dtype == torch.float64 else map_.float()
    if map_.ndim == 4 and len(map_) == 1:
        map_ = map_[0]
    if map_.ndim == 3 and len(map_) in (1, INTERFACE.channels) and map_.shape[1:] == size:
        map_ = map_.sum(0) if len(map_) > 1 else map_[0]
    if map_.shape != size:
        raise ValueError(f"a map of shape {tuple(given.shape)}, not {size}: {_remedy(tuple(map_.shape), size)}")
    if not torch.isfinite(map_ := map_.float()).all():
        raise ValueError("values that are not finite: a map may be all zero, never NaN")
    return map_


def _tensor(result: Any) -> Tensor:
    if result is None:
        raise ValueError("nothing: end the function with `return`")
    if isinstance(result, list | tuple) and any(isinstance(part, Tensor | np.ndarray) for part in result):
        raise ValueError(f"a {type(result).__name__} of {len(result)}: return one of them, or their sum")
    try:
        return torch.as_tensor(np.ascontiguousarray(result) if isinstance(result, np.ndarray) else result)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"a {type(result).__name__}: return a tensor or a NumPy array of real numbers") from None


def _remedy(shape: tuple[int, ...], size: tuple[int, int]) -> str:
    if shape == size[::-1]:
        return "transpose it"
    if len(shape) == 3 and shape[:2] == size:
        return "move its channels to the front"
    if len(shape) in (3, 4) and shape[-2:] == size:
        return "reduce its leading axes to one map"
    return "resize it, as torch.nn.functional.interpolate does"


def check_labels(spec: Spec[ExplainerTraits], case: Case | None) -> None:
    """Refuse a control that reads labels where there are none.

    Raises:
        UserError: then.
    """
    if spec.plugin.traits.sees_labels and case is None:
        raise UserError(f"{spec} reads the labels, and none were given.", "Pass case=….")
    if spec.plugin.traits.sees_labels and case is not None and not case.labelled:
        raise UserError(f"{spec} reads the labels, and {case.id} has none.", "Leave it out.")


def map_rng(seed: int, spec: Spec[ExplainerTraits], image: Tensor) -> np.random.Generator:
    """A generator that depends on the seed, the method and the image, and not on the order of work."""
    content = zlib.crc32(np.ascontiguousarray(image.cpu().numpy()).tobytes())
    return np.random.default_rng([seed, zlib.crc32(str(spec).encode()), content])


@contextmanager
def _gradients(model: nn.Module) -> Iterator[None]:
    """Turns gradients on, also where the caller, such as a library's metric, has turned them off.

    If the block turns them off itself, they stay off, so that a check can notice it. Afterwards the weights have the
    gradients and the ``requires_grad`` flags that they had before.
    """
    before = torch.is_grad_enabled()
    weights = [(weight, weight.grad, weight.requires_grad) for weight in model.parameters()]
    for weight, _gradient, _required in weights:
        weight.grad = None  # so that a backward pass does not add to it
    torch.set_grad_enabled(True)
    try:
        yield
    finally:
        if torch.is_grad_enabled():
            torch.set_grad_enabled(before)
        for weight, gradient, required in weights:
            weight.requires_grad_(required)
            weight.grad = gradient


@contextmanager
def seeded_globally(seed: int) -> Iterator[None]:
    """Seeds the global generators, which some libraries draw from, and restores their states afterwards."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global state has to be restored
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
