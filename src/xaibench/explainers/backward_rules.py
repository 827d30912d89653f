"""Custom backward rules for a network's operations, whether it calls them as modules or as functions.

Libraries attach such rules to modules. That fails on many segmentation networks: an activation module that is called
twice overwrites its stored state, activations called as functions are not seen, in-place activations change what was
stored, and skip connections and gates are not modules. Here the functions themselves are intercepted while the network
runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from xaibench.errors import Skipped
from xaibench.explainers.custom_backward import Function, depends
from xaibench.scorer import Scorer
from xaibench.scorer.batching import evaluating
from xaibench.scorer.fingerprint import NetworkCache

Rule = Callable[..., Tensor]  # (function, *args, **kwargs) -> what the function would return

ELEMENTWISE = (
    *("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
    *("sigmoid", "tanh", "hardtanh", "relu6", "hardswish", "hardsigmoid", "logsigmoid", "exp", "log", "sqrt", "rsqrt"),
)
PRODUCTS = ("mul", "multiply", "rmul", "imul")
SUMS = ("add", "radd", "iadd", "sub", "subtract", "isub", "rsub")
TOLERANCE = 0.05  # relative error that the sum of a map may have
# Share of the largest logit by which replaced operations may change the logits. Observed: 1e-5 in float32, 2e-2 in
# bfloat16 (another order of operations rounds differently), tenths where an operation is not seen.
_AGREE = 0.05
_OPERATORS = frozenset(f"__i{name}__" for name in ("add", "sub", "mul", "div", "truediv", "pow"))
_followed: NetworkCache[set[frozenset[str]]] = NetworkCache()  # names of the rules under which the logits agree


def logits_by(rules: Rules, scorer: Scorer, images: Tensor) -> Tensor:
    """(N, 1, H, W) logits of one pass with the network's operations replaced by rules.

    Weights require no gradients meanwhile, so that only tensors computed from the image do.

    Args:
        rules: rules that are not entered yet.
        scorer: the scorer of the network.
        images: (N, 3, H, W) that require gradients.

    Raises:
        Skipped: if the logits differ from the network's own, because the rules miss an operation, such as an in-place
            operation on a view. Checked once per network and set of rules.
    """
    trainable = [weight for weight in scorer.model.parameters() if weight.requires_grad]
    with torch.enable_grad(), ExitStack() as restore:
        for weight in trainable:
            restore.callback(weight.requires_grad_, True)
            weight.requires_grad_(False)
        picture = images * 1  # not a leaf: leaves count as constants
        with rules:
            logits: Tensor = rules.now(scorer.logits(picture))
    followed = _followed.get(scorer.model, set)
    if rules.names not in followed:
        with torch.inference_mode(), evaluating(scorer.model):  # not counted as a pass
            plain = scorer.model(images.detach().clone())
        if not (logits.detach() - plain).abs().max() <= _AGREE * plain.abs().max() + 1e-6:
            raise Skipped("the network's logits change when its operations are replaced one by one")
        followed.add(rules.names)
    return logits


class Rules(TorchFunctionMode):
    """A context manager that replaces functions by rules, looked up by the function's name.

    ``relu`` stands for ``torch.relu``, ``Tensor.relu_``, ``F.relu`` and ``nn.ReLU``; ``add`` and ``iadd`` stand for
    ``+`` and ``+=``. A rule is called if the first argument, or either operand of a sum or product, is computed from
    the image. It returns a new tensor, also for an in-place function: from then on the new tensor is used wherever the
    network uses the overwritten one. Nothing remains after the block.

    Args:
        rules: name to rule; a rule receives the function that it replaces, and the arguments without ``inplace``.

    Attributes:
        met: names of rules that the network needed at least once.
        names: all names.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.met: set[str] = set()
        self.names = frozenset(rules)
        self._rules = rules
        self._instead = WeakIdKeyDictionary()  # overwritten tensor to new tensor

    def __torch_function__(
        self, func: Function, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        name = getattr(func, "__name__", "")
        given, named = self.now(args), self.now(kwargs or {})
        kind = name.strip("_")
        self.met |= self.names & {kind}
        operands = [*given, *named.values()][: 2 if kind in SUMS + PRODUCTS else 1]
        if kind not in self._rules or not any(map(depends, operands)):
            return func(*given, **named)
        works_in_place = name in _OPERATORS or (name.endswith("_") and not name.endswith("__"))  # +=, relu_
        overwrites = named.pop("inplace", False) or works_in_place
        result = self._rules[kind](func, *given, **named)
        if overwrites:
            self._instead[given[0]] = result
            self._instead.pop(result, None)  # it is current: a rule can return what it was given, overwritten
        return result

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._instead = WeakIdKeyDictionary()

    def now(self, value: Any) -> Any:
        """The value, with tensors that were overwritten in this block replaced by their current content."""
        if isinstance(value, Tensor):
            while value in self._instead:  # what replaces it may have been overwritten, too, as in x.mul_(2).add_(1)
                value = self._instead[value]
            return value
        if isinstance(value, dict):
            return {key: self.now(each) for key, each in value.items()}
        # Exact types: a torch.Size is a tuple without tensors.
        return type(value)(map(self.now, value)) if type(value) in (list, tuple) else value


def check_sum(map_: Tensor, wanted: float, what: str) -> None:
    """Check that a map sums to the attributed total.

    Args:
        map_: (H, W).
        wanted: the total.
        what: words before the total in the message, such as ``"the score is"``.

    Raises:
        Skipped: if the sum misses the total by more than 5 % plus .001 Σ|map| (rounding, where the score is near 0):
            then the network has operations without a rule.
    """
    total, size = float(map_.double().sum()), float(map_.abs().double().sum())
    if not abs(total - wanted) <= TOLERANCE * abs(wanted) + 1e-3 * size + 1e-6:
        raise Skipped(
            f"the map sums to {total:.4g} where {what} {wanted:.4g}: the network has operations without a rule"
        )
