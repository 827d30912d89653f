"""What a network makes of a picture when one of its layers gives something else."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from xaibench.scorer.fusion import folded_but

Change = Callable[[Tensor], Tensor]
Tail = Callable[[Change], Tensor]


def tail(model: nn.Module, layer: nn.Module, picture: Tensor) -> Tail:
    """A function from changes of a layer's output, made out of place, to the logits, (1, 1, H, W), without gradients.

    What does not follow from the layer is computed once, where the network's steps can be followed; where not, each
    change costs a whole pass. A layer that is reached several times is changed the last time.

    Args:
        model: in evaluation mode, and to stay as it is.
        layer: one of its modules.
        picture: (1, 3, H, W).
    """
    name = next((name for name, module in model.named_modules() if module is layer), "")
    with torch.inference_mode():
        network = folded_but(model, name) if name else None
        found = _continued(network, name, picture) if network is not None else None
    return found or _hooked(model, layer, picture)


def _continued(network: fx.GraphModule, name: str, picture: Tensor) -> Tail | None:
    nodes = list(network.graph.nodes)
    layer = next((node for node in reversed(nodes) if node.op == "call_module" and node.target == name), None)
    if layer is None:
        return None
    following: set[fx.Node] = set()
    for node in nodes:
        if any(before is layer or before in following for before in node.all_input_nodes):
            following.add(node)
    if nodes[-1] not in following:  # the network's output does not follow from the layer
        with torch.inference_mode():
            whole = network(picture)
        return lambda change: whole.clone()
    read = {before for node in following for before in node.all_input_nodes} - following - {layer}
    first = _Once(network, layer, read)
    whole = first.run(picture)
    # What is not read by what is computed again need not be there.
    kept = {node: first.read.get(node) for node in nodes if node not in following and node is not layer}

    def logits(change: Change) -> Tensor:
        # Copies, since a network may have steps that work in place.
        given = {node: value.clone() if isinstance(value, Tensor) else value for node, value in kept.items()}
        with torch.inference_mode():
            result: Tensor = fx.Interpreter(network).run(picture, initial_env={**given, layer: change(first.given)})
        return result.clone()

    return logits if torch.equal(logits(torch.clone), whole) else None


class _Once(fx.Interpreter):
    """Keeps what some steps give, and what the layer gives before later steps can overwrite it."""

    def __init__(self, network: fx.GraphModule, layer: fx.Node, wanted: set[fx.Node]) -> None:
        super().__init__(network)
        self._layer, self._wanted = layer, wanted
        self.read: dict[fx.Node, Any] = {}
        self.given: Tensor

    def run_node(self, n: fx.Node) -> Any:
        """One step."""
        result = super().run_node(n)
        if n in self._wanted:
            self.read[n] = result
        if n is self._layer:
            self.given = result.clone()
        return result


def _hooked(model: nn.Module, layer: nn.Module, picture: Tensor) -> Tail:
    def changed(change: Change, call: int) -> Tensor:
        calls = itertools.count()

        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
            reached.append(1)
            return change(output) if next(calls) == call else None

        reached: list[int] = []
        handle = layer.register_forward_hook(hook)
        try:
            with torch.inference_mode():
                result: Tensor = model(picture)
        finally:
            handle.remove()
        count[:] = reached
        return result.clone()

    count: list[int] = []
    changed(lambda output: output, -1)
    return lambda change: changed(change, len(count) - 1)
