"""Layers of a network by name, for methods that look inside."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xaibench.errors import UserError


def named_layers(model: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    """The layers worth looking at, in the order in which data passes.

    A network that has a ``layers`` mapping names its own. Of any other the convolutions are listed under their module
    names, with ``bottleneck`` for the last one at the coarsest resolution, of more than one pixel, and ``last`` for the
    last one of all; a forward pass finds which these are.

    Args:
        model: in evaluation mode.
        image: (3, H, W).
    """
    own = getattr(model, "layers", None)
    if isinstance(own, dict) and own:
        named: dict[str, nn.Module] = dict(own)
        return named
    seen: list[tuple[str, nn.Module, int]] = []
    handles = [
        module.register_forward_hook(lambda m, _, out, name=name: seen.append((name, m, out.shape[-2] * out.shape[-1])))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    try:
        with torch.no_grad():
            model(image[None])
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        return {}
    # Of one pixel are gates and descriptions of the whole picture, which show no place.
    coarsest = min((size for _, _, size in seen if size > 1), default=1)
    bottleneck = [module for _, module, size in seen if size == coarsest][-1]
    return {name: module for name, module, _ in seen} | {"bottleneck": bottleneck, "last": seen[-1][1]}


def find_layer(model: nn.Module, name: str, image: Tensor) -> nn.Module:
    """The layer of that name: one of :func:`named_layers`, or any module by its full name.

    Raises:
        UserError: if there is none, listing the sensible ones.
    """
    layers = named_layers(model, image)
    if name in layers:
        return layers[name]
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name in modules and name:
        return modules[name]
    near = difflib.get_close_matches(name, layers, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}? " if near else ""
    known = f"There are {', '.join(layers)}." if layers else "It has no convolutions; give a module's full name."
    raise UserError(f"{type(model).__name__} has no layer {name!r}.", hint + known)


def pixel_centre(model: nn.Module) -> float:
    """Where a pixel of a coarse feature map lies in the picture: pixel i of a map coarser by s at s·i + centre·(s - 1).

    A convolution or pooling of kernel k, padding p and stride s puts it at s·i + (k - 1)/2 - p: with the usual strided
    3 × 3 convolution (p = 1) the centre is 0, in the middle of every s-th pixel; with a 2 × 2 pooling it is 0.5, in
    the middle of the window. It is the mean over the network's downsampling modules, 0.5 if it has none.
    """
    centres = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride, padding = (_first(v) for v in (module.kernel_size, module.stride, module.padding))
            if stride > 1:
                centres.append(((kernel - 1) / 2 - padding) / (stride - 1))
    return sum(centres) / len(centres) if centres else 0.5


def _first(value: Any) -> int:
    """Of a pair, or of one number for both axes; padding by name is of stride 1 only."""
    return int(value[0] if isinstance(value, tuple) else value) if not isinstance(value, str) else 0


@contextmanager
def output_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what the layer returns while the block runs; the hook is gone afterwards, also after an exception.

    The network goes on with a copy, since an activation function that works in place would change what was collected.
    """
    outputs: list[Tensor] = []

    def collect(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        outputs.append(output)
        return output.clone() if isinstance(output, Tensor) else output

    handle = layer.register_forward_hook(collect)
    try:
        yield outputs
    finally:
        handle.remove()
