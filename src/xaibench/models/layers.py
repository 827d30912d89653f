"""Layers of a network by name, for methods that read activations."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from xaibench.errors import UserError, did_you_mean


def named_layers(model: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    """The layers that explainers can use, in the order in which data passes them.

    A network with a ``layers`` mapping names its own. For any other network a forward pass lists its convolutions under
    their module names. ``bottleneck`` is the last one at the coarsest resolution of more than one pixel, and ``last``
    the last one of all.

    Args:
        model: in evaluation mode.
        image: (3, H, W).
    """
    own = getattr(model, "layers", None)
    if isinstance(own, dict) and own:
        named: dict[str, nn.Module] = dict(own)
        return named
    seen: list[tuple[str, nn.Module, int]] = []
    with torch.no_grad(), ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                note = lambda m, _, out, name=name: seen.append((name, m, out.shape[-2] * out.shape[-1]))
                hooks.enter_context(module.register_forward_hook(note))
        model(image[None].clone())
    if not seen:
        return {}
    # Layers of one pixel, such as gates, describe the whole image and have no position.
    coarsest = min((size for _, _, size in seen if size > 1), default=1)
    bottleneck = [module for _, module, size in seen if size == coarsest][-1]
    return {name: module for name, module, _ in seen} | {"bottleneck": bottleneck, "last": seen[-1][1]}


def find_layer(model: nn.Module, name: str, image: Tensor) -> nn.Module:
    """The layer of that name: one of :func:`named_layers`, or any module by its full name.

    Raises:
        UserError: if there is none; the hint lists the layers of :func:`named_layers`.
    """
    layers = named_layers(model, image)
    if name in layers:
        return layers[name]
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name in modules and name:
        return modules[name]
    hint = did_you_mean(name, layers, most=1)
    known = f"There are {', '.join(layers)}." if layers else "It has no convolutions; give a module's full name."
    raise UserError(f"{type(model).__name__} has no layer {name!r}.", f"{hint} {known}".strip())


def pixel_centre(model: nn.Module) -> float:
    """Position of a coarse feature map's pixels in the image: pixel i of a map coarser by s is at s·i + centre·(s - 1).

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
    """The first of a pair, or a number for both axes; padding given by name occurs with stride 1 only."""
    return int(value[0] if isinstance(value, tuple) else value) if not isinstance(value, str) else 0


@contextmanager
def output_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collects the layer's outputs while the block runs; the hook is removed afterwards, also after an exception.

    The network continues with a copy, because an in-place activation would change the collected output.
    """
    outputs: list[Tensor] = []

    def collect(_module: nn.Module, _inputs: object, output: Any) -> object:
        outputs.append(output)
        return output.clone() if isinstance(output, Tensor) else output

    with layer.register_forward_hook(collect):
        yield outputs
