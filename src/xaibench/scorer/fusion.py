"""A network made ready for its passes: batch norms folded into convolutions, activations in place.

In evaluation mode a batch norm is a multiplication and an addition per channel, which the convolution before it can do
as well, and an activation can overwrite what only it reads. Both save a way of all activations through memory and back:
about a tenth of a pass of the bundled networks, as much as `torch.compile` saves of it, without a compiler, and a third
of a pass with the picture's gradient, for which less is kept, too.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, TypeGuard
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import _get_current_function_mode_stack

from xaibench.scorer.fingerprint import Unchanged, weights

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")  # of a module
EVERYWHERE = tuple(  # hooks on all modules that there are
    hooks
    for name in ("forward", "forward_pre", "backward", "backward_pre")
    if isinstance(hooks := getattr(nn.modules.module, f"_global_{name}_hooks", None), dict)
)
SIZES = ((128, 160), (107, 93))  # px, of the pictures on which a folded network is held against the network itself
_AGREE = 1e-5  # of the largest logit, to which the two must agree
_NORMED = (nn.Conv2d, nn.ConvTranspose2d)
_known: WeakKeyDictionary[nn.Module, _Folded | None] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Folded:
    of: Unchanged
    network: nn.Module


def folded(model: nn.Module) -> nn.Module:
    """What gives the network's logits, up to rounding, in less time; the network itself where there is no such thing.

    Its weights ask for no gradients: pictures alone may. Where a ReLU's input is 0 up to rounding, the gradient of the
    one network may go through and that of the other not.

    There is no such thing where nothing is to be folded, where the network's steps can't be followed or the folded one
    disagrees, as long as its weights or modules are others than when it was first asked for, and while someone listens
    in by hooks, function modes or a ``forward`` of their own, who would hear of steps that the network does not have.

    Args:
        model: in evaluation mode. It is left as it was.
    """
    if is_watched(model):
        return model
    if model not in _known:
        _known[model] = _fold(model)
    found = _known[model]
    return found.network if found is not None and found.of.holds(model) else model


def is_watched(model: nn.Module) -> bool:
    """Whether hooks, a function mode or a ``forward`` of an instance listen in on the network."""
    return bool(_get_current_function_mode_stack()) or is_hooked(model)


def is_hooked(model: nn.Module) -> bool:
    """Whether hooks on modules or weights, or a ``forward`` of an instance, listen in on the network."""
    return (
        any(EVERYWHERE)
        or any("forward" in (own := vars(m)) or any(own[hooks] for hooks in HOOKS) for m in model.modules())
        or any(weight._backward_hooks for weight in model.parameters())
    )


def folded_but(model: nn.Module, layer: str) -> fx.GraphModule | None:
    """As :func:`folded`, with one layer, whatever it is made of, as a single step that gives what it does there.

    Args:
        model: in evaluation mode.
        layer: full name of one of its modules.

    Returns:
        None where the network's steps can't be followed.
    """
    return None if is_watched(model) else _follow(model, layer)


def _fold(model: nn.Module) -> _Folded | None:
    network = _follow(model)
    return None if network is None else _Folded(Unchanged(model), network)


def _follow(model: nn.Module, layer: str | None = None) -> fx.GraphModule | None:
    if any(m.training for m in model.modules()):
        return None
    try:
        with torch.inference_mode(False), torch.no_grad():
            own = copy.deepcopy(model).requires_grad_(False)
            network = fx.GraphModule(own, _Tracer(layer).trace(own))
            merged = _merge(network, layer)
            wanted = merged or layer is not None
            return network if wanted and _agrees(model, network) else None
    except Exception:  # what a stranger's network does when it is copied or followed has no common base
        return None


class _Tracer(fx.Tracer):
    def __init__(self, whole: str | None) -> None:
        super().__init__()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one step of the network; its own containers are not, but for the one asked for."""
        return module_qualified_name == self._whole or super().is_leaf_module(m, module_qualified_name)


def _merge(network: fx.GraphModule, layer: str | None) -> int:
    """Fold each batch norm that alone reads a convolution; returns how many. Dropouts go, activations work in place."""
    calls = [node for node in network.graph.nodes if node.op == "call_module" and node.target != layer]
    modules = {node: network.get_submodule(str(node.target)) for node in calls}
    # What the network uses twice would be changed for both.
    once = {node for node in calls if sum(other.target == node.target for other in calls) == 1}
    merged = 0
    for node in calls:
        before, module = node.args[0], modules[node]
        alone = before in modules and len(before.users) == 1
        if type(module) is nn.BatchNorm2d and alone and {node, before} <= once and type(modules[before]) in _NORMED:
            conv: Any = modules[before]
            modules[before] = fuse_conv_bn_eval(conv, module, transpose=isinstance(conv, nn.ConvTranspose2d))
            _replace(network, str(before.target), modules[before])
            merged += 1
        elif _overwrites(module) and alone and isinstance(modules[before], _NORMED):
            module.inplace = True
            continue
        elif not isinstance(module, (nn.Dropout, nn.Dropout2d, nn.Identity)):
            continue
        node.replace_all_uses_with(before)
        network.graph.erase_node(node)
    network.recompile()
    return merged


def _overwrites(module: nn.Module) -> TypeGuard[nn.ReLU | nn.LeakyReLU]:
    """Whether it can work in place, also where gradients are asked for: its output tells what its input was."""
    return isinstance(module, nn.ReLU) or (isinstance(module, nn.LeakyReLU) and module.negative_slope > 0)


def _replace(network: fx.GraphModule, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, module)


def _agrees(model: nn.Module, network: nn.Module) -> bool:
    """Whether the two give the same; of sizes that the network itself does not take, nothing is asked."""
    device, agreed = next(weights(model)).device, 0
    for size in SIZES:
        noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)
        try:
            given = model(noise)
        except RuntimeError:
            continue
        if not (given - network(noise)).abs().max() <= _AGREE * given.abs().max().clamp(min=1):
            return False
        with torch.enable_grad():
            torch.autograd.grad(network(noise.requires_grad_()).sum(), noise)  # that it can be differentiated
        agreed += 1
    return agreed > 0
