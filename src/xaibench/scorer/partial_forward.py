"""The logits of a network when the output of one layer is changed, without computing the steps before the layer."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn

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
    nodes = list(network.graph.nodes)
    layer = next((node for node in reversed(nodes) if node.op == "call_module" and node.target == name), None)
    if layer is None:
        return None
    dependent: set[fx.Node] = set()
    for node in nodes:
        if any(source is layer or source in dependent for source in node.all_input_nodes):
            dependent.add(node)
    if nodes[-1] not in dependent:  # the logits do not depend on the layer
        whole = network(image)
        return lambda change: whole.clone()
    inputs = {source for node in dependent for source in node.all_input_nodes} - dependent - {layer}
    recorder = _Recorder(network, layer, inputs | {layer})
    whole = recorder.run(image)
    # The interpreter needs an entry for every step that it skips, but only the inputs of the others are read.
    skipped = {node: recorder.outputs.get(node) for node in nodes if node not in dependent and node is not layer}

    def logits(change: Change) -> Tensor:
        # Copies, because a step may work in place.
        known = {node: value.clone() if isinstance(value, Tensor) else value for node, value in skipped.items()}
        with torch.inference_mode():
            known[layer] = change(recorder.outputs[layer])
            result: Tensor = fx.Interpreter(network).run(image, initial_env=known)
        return result.clone()

    return logits if torch.equal(logits(torch.clone), whole) else None


class _Recorder(fx.Interpreter):
    """Runs a network and records the outputs of some steps, the layer's before a later step can overwrite it."""

    def __init__(self, network: fx.GraphModule, layer: fx.Node, recorded: set[fx.Node]) -> None:
        super().__init__(network)
        self._layer, self._recorded = layer, recorded
        self.outputs: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> Tensor:
        """One step."""
        result: Tensor = super().run_node(n)
        if n in self._recorded:
            self.outputs[n] = result.clone() if n is self._layer else result
        return result


def _by_hook(model: nn.Module, layer: nn.Module, image: Tensor) -> PartialForward:
    def run(change: Change, changed_call: int) -> tuple[Tensor, int]:
        """The logits, and how often the layer was called."""
        calls = itertools.count()

        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
            return change(output) if next(calls) == changed_call else None

        handle = layer.register_forward_hook(hook)
        try:
            with torch.inference_mode():
                result: Tensor = model(image)
        finally:
            handle.remove()
        return result.clone(), next(calls)

    calls = run(torch.clone, -1)[1]

    def logits(change: Change) -> Tensor:
        return run(change, calls - 1)[0]

    return logits
