"""Custom backward rules for a network's operations, whether it calls them as modules or as functions.

Libraries attach such rules to modules. That fails on many segmentation networks: an activation module that is called
twice overwrites its stored state, activations called as functions are not seen, in-place activations change what was
stored, and skip connections and gates are not modules. Here the functions themselves are intercepted while the network
runs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xaibench.errors import Skipped
from xaibench.scorer import Scorer
from xaibench.scorer.batching import evaluating
from xaibench.scorer.fingerprint import NetworkCache

Rule = Callable[..., Any]  # (function, *args, **kwargs) -> what the function would return

ELEMENTWISE = (
    *("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
    *("sigmoid", "tanh", "hardtanh", "relu6", "hardswish", "hardsigmoid", "logsigmoid", "exp", "log", "sqrt", "rsqrt"),
)
PRODUCTS = ("mul", "multiply", "rmul", "imul")
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
    with torch.enable_grad(), _frozen(scorer.model):
        picture = images * 1  # not a leaf: leaves count as constants
        with rules:
            logits: Tensor = rules.now(scorer.logits(picture))
    followed = _followed.get(scorer.model, set)
    if rules.names not in followed:
        with torch.inference_mode(), evaluating(scorer.model):  # not counted as a pass
            plain = scorer.model(images.detach())
        if not (logits.detach() - plain).abs().max() <= _AGREE * plain.abs().max() + 1e-6:
            raise Skipped("the network's logits change when its operations are replaced one by one")
        followed.add(rules.names)
    return logits


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """The network with weights that require no gradients."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trainable:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trainable:
            weight.requires_grad_(True)


class Rules(TorchFunctionMode):
    """A context manager that replaces functions by rules, looked up by the function's name.

    ``relu`` stands for ``torch.relu``, ``Tensor.relu_``, ``F.relu`` and ``nn.ReLU``; ``add`` and ``iadd`` stand for
    ``+`` and ``+=``. A rule returns a new tensor, also for an in-place function: from then on the new tensor is used
    wherever the network uses the overwritten one. Nothing remains after the block.

    Args:
        rules: name to rule; a rule receives the function that it replaces, and the arguments.

    Attributes:
        met: names that were replaced at least once.
        names: all names.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.met: set[str] = set()
        self.names = frozenset(rules)
        self._rules = rules
        self._instead: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}  # by id, while the old tensor lives

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        given, kwargs = self.now(args), self.now(kwargs or {})
        rule = self._rules.get(name.strip("_"))
        if rule is None:
            return func(*given, **kwargs)
        self.met.add(name.strip("_"))
        result = rule(func, *given, **kwargs)
        if _works_in_place(name, kwargs) and args:
            for old in (args[0], given[0]):
                if isinstance(old, Tensor) and old is not result:
                    self._replace(old, result)
        return result

    def _replace(self, old: Tensor, new: Tensor) -> None:
        key = id(old)
        self._instead[key] = weakref.ref(old, lambda _: self._instead.pop(key, None)), new

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._instead.clear()

    def now(self, value: Any) -> Any:
        """The value, with tensors that were overwritten in this block replaced by their current content."""
        if not self._instead:
            return value
        if isinstance(value, Tensor):
            old, new = self._instead.get(id(value), (None, value))
            return value if old is None or old() is not value else new
        if isinstance(value, dict):
            return {key: self.now(each) for key, each in value.items()}
        # Exact types: a torch.Size is a tuple without tensors.
        return type(value)(map(self.now, value)) if type(value) in (list, tuple) else value


def _works_in_place(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether the function overwrites its first argument, as ``relu_``, ``+=`` and ``inplace=True`` do."""
    return (name.endswith("_") and not name.endswith("__")) or name in _OPERATORS or bool(kwargs.get("inplace"))


def out_of_place(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of an activation with ``inplace`` off: its input is still needed."""
    return {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs


def depends(value: Any) -> bool:
    """Whether a value is computed from the image; in :func:`logits_by` weights and constants are not."""
    return isinstance(value, Tensor) and value.requires_grad and not value.is_leaf


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
