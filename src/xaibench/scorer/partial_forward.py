"""The logits of a network when the output of one layer is changed, without computing the steps before the layer."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from xaibench.models.layers import output_of
from xaibench.scorer.fusion import folded_around

Change = Callable[[Tensor], Tensor]  # of a layer's output, out of place
PartialForward = Callable[[Change], Tensor]


def partial_forward(model: nn.Module, layer: nn.Module, image: Tensor) -> PartialForward:
    """A function from a change of a layer's output to the logits, (1, 1, H, W), without gradients.

    Steps that do not depend on the layer are computed once, if torch.fx can trace the network; otherwise each change
    costs a whole pass. Of a layer that is called several times the last output is changed.

    Args:
        model: in evaluation mode; it must not change while the function is used.
        layer: one of its modules.
        image: (1, 3, H, W).
    """
    name = next((name for name, module in model.named_modules() if module is layer), "")
    with torch.inference_mode():
        network = folded_around(model, name) if name else None
        by_steps = _by_steps(network, name, image) if network is not None else None
    return by_steps or _by_hook(model, layer, image)


def _by_steps(network: fx.GraphModule, name: str, image: Tensor) -> PartialForward | None:
    """None if the layer is no step of the network, or if repeating the steps does not give the same logits."""
    *nodes, output = network.graph.nodes
    layer = next((node for node in reversed(nodes) if node.op == "call_module" and node.target == name), None)
    if layer is None:
        return None
    dependent: set[fx.Node] = set()
    for node in nodes:
        if any(source is layer or source in dependent for source in node.all_input_nodes):
            dependent.add(node)
    if output.args[0] not in dependent:  # the layer gives the logits, or they do not depend on it
        whole = network(image.clone())
        return lambda change: (change(whole) if output.args[0] is layer else whole).clone()
    steps = split_module(network, network, lambda node: int(node in dependent))
    after, inputs = cast("fx.GraphModule", steps.submod_1), list[Any]()
    with after.register_forward_pre_hook(lambda _after, given: inputs.extend(_copies(given))):
        whole = steps(image.clone())
    place = [node.name for node in after.graph.find_nodes(op="placeholder")].index(layer.name)

    def logits(change: Change) -> Tensor:
        values = _copies(inputs)
        with torch.inference_mode():
            values[place] = change(values[place])
            result: Tensor = after(*values)
        return result.clone()

    return logits if torch.equal(logits(torch.clone), whole) else None


def _copies(values: Iterable[Any]) -> list[Any]:
    """Copies of the tensors, because a step may work in place; other values as they are."""
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def _by_hook(model: nn.Module, layer: nn.Module, image: Tensor) -> PartialForward:
    with torch.inference_mode(), output_of(layer) as outputs:
        model(image.clone())

    def logits(change: Change) -> Tensor:
        calls = itertools.count(1)
        hook = lambda _module, _inputs, output: change(output) if next(calls) == len(outputs) else None
        with torch.inference_mode(), layer.register_forward_hook(hook):
            result: Tensor = model(image.clone())
        return result.clone()

    return logits
