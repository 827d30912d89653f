"""Layers of a network by name, for methods that read activations."""

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from xaibench.errors import Skipped, UserError, did_you_mean

_MORE = 64  # px by which a second image is larger, a multiple of the strides of most networks
_NEAR = 0.2  # relative difference from a power of two that padding or cropping can make
_found: WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], list[nn.Module], dict[str, nn.Module]]]
_found = WeakKeyDictionary()  # shape of the image, the modules and the layers of each network
_BY_RESOLUTION = re.compile(r"encoder-\d+|decoder-1/\d+|bottleneck|last")


def named_layers(model: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    """The layers that explainers can use, in the order in which data passes them.

    A network with a ``layers`` mapping names its own. For any other network a forward pass lists its convolutions under
    their module names, and names layers by resolution: ``bottleneck`` is the last module at the coarsest resolution of
    more than one pixel, ``decoder-1/2``, ``decoder-1/4`` … the last one at each finer resolution after it, each time
    the outermost one, such as a block rather than its last convolution; ``last`` is the last convolution of all. A
    module that ends with a concatenation counts as the join of two layers, not as one.

    Args:
        model: in evaluation mode.
        image: (3, H, W).
    """
    if own := _own_layers(model):
        return own
    about = tuple(image.shape), list(model.modules())[1:]
    known = _found.get(model)
    if known is None or known[:2] != about:  # found once, since it takes two passes
        known = _found[model] = (*about, _find(model, image))
    return dict(known[2])


def _find(model: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    calls = _calls(model, image)
    convolutions = [call for call in calls if isinstance(call[1], nn.Conv2d | nn.ConvTranspose2d)]
    if not convolutions:
        return {}
    named = {name: module for name, module, _ in convolutions}
    named["bottleneck"] = last = convolutions[-1][1]
    if at_factor := _last_at_each_factor(model, image, calls):
        bottleneck = at_factor[max(at_factor)]
        named["bottleneck"] = calls[bottleneck][1]
        finer = sorted(((n, at) for n, at in at_factor.items() if at > bottleneck), reverse=True)
        named |= {f"decoder-1/{n}": calls[at][1] for n, at in finer}
    return named | {"last": last}


def _own_layers(model: nn.Module) -> dict[str, nn.Module]:
    own = getattr(model, "layers", None)
    return dict(own) if isinstance(own, dict) else {}


def _calls(model: nn.Module, image: Tensor) -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """The calls of modules that give a feature map, in the order in which they end: name, module and (h, w)."""
    calls: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def note(name: str, module: nn.Module, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output not in joins.found:
            calls.append((name, module, tuple(output.shape[-2:])))

    with torch.no_grad(), ExitStack() as hooks, _Concatenations() as joins:
        for name, module in model.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(lambda m, _, out, name=name: note(name, m, out)))
        model(image[None].clone())
    return calls


class _Concatenations(TorchFunctionMode):
    """Notes the tensors that the network concatenates inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.found = WeakIdKeyDictionary()

    def __torch_function__(self, func: Any, types: object, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("cat", "concat", "concatenate"):
            self.found[result] = True
        return result


def _last_at_each_factor(
    model: nn.Module, image: Tensor, calls: list[tuple[str, nn.Module, tuple[int, ...]]]
) -> dict[int, int]:
    """Downsampling factor to the last call at that resolution; the image's own resolution and single pixels left out.

    A layer whose size does not grow with the image, such as one of pyramid pooling, has no resolution. A network that
    takes images of one size only does not tell them apart.
    """
    try:
        larger = [size for _, _, size in _calls(model, functional.pad(image, (0, _MORE, 0, _MORE)))]
    except Exception:  # a user's network may refuse the size in any way
        larger = []
    if len(larger) != len(calls):
        larger = [tuple(n + _MORE for n in size) for _, _, size in calls]
    last = {}
    for at, ((_, _, size), wider) in enumerate(zip(calls, larger, strict=True)):
        factor = _factor(size, tuple(image.shape[-2:]))
        if factor > 1 and math.prod(size) > 1 and all(n < m for n, m in zip(size, wider, strict=True)):
            last[factor] = at
    return last


def _factor(size: tuple[int, ...], whole: tuple[int, ...]) -> int:
    """How many pixels of the image a layer's pixel stands for; a power of two where padding or cropping hides it."""
    ratio = math.sqrt(math.prod(whole) / math.prod(size))
    power = 2 ** round(math.log2(ratio))
    return power if abs(ratio / power - 1) < _NEAR else round(ratio)


def find_layer(model: nn.Module, name: str, image: Tensor) -> nn.Module:
    """The layer of that name: one of :func:`named_layers`, or any module by its full name.

    Raises:
        UserError: if there is none; the hint lists the layers of :func:`named_layers`.
        Skipped: if the network names no layers of its own, and has none of that resolution.
    """
    layers = named_layers(model, image)
    if name in layers:
        return layers[name]
    if _BY_RESOLUTION.fullmatch(name) and not _own_layers(model):
        found = ", ".join(layer for layer in layers if _BY_RESOLUTION.fullmatch(layer)) or "no convolutions inside"
        raise Skipped(f"{type(model).__name__} has no layer {name!r}; it has {found}")
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
