"""Backward rules of one's own for a network's operations, whichever way the network calls them.

Libraries hang such rules on modules. That fails on many a segmentation network: an activation module that is used
twice overwrites what was stored of its first use, activations called as functions are never seen, in-place ones change
what was stored, and skip connections and gates are no modules at all. Here the functions themselves are intercepted
while the network runs, so that it makes no difference how they are called.
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
from xaibench.scorer.fingerprint import Remembered

Rule = Callable[..., Any]  # (function, *args, **kwargs) -> what the function would return

ELEMENTWISE = (
    *("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
    *("sigmoid", "tanh", "hardtanh", "relu6", "hardswish", "hardsigmoid", "logsigmoid", "exp", "log", "sqrt", "rsqrt"),
)
PRODUCTS = ("mul", "multiply", "rmul", "imul")
TOLERANCE = 0.05  # of what a map must sum to, by which it may miss it
# Of the largest logit, to which the network must give the same with its operations replaced: it does to 1e-5, and in
# bfloat16, where another order of operations rounds otherwise, to 2e-2; what is not seen at all makes tenths.
_AGREE = 0.05
_OPERATORS = frozenset(f"__i{name}__" for name in ("add", "sub", "mul", "div", "truediv", "pow"))
_followed: Remembered[set[frozenset[str]]] = Remembered()  # names of the rules with which it gives the same


def logits_by(rules: Rules, scorer: Scorer, images: Tensor) -> Tensor:
    """(N, 1, H, W) logits, in one pass, with the network's operations replaced by rules.

    Weights ask for no gradients meanwhile, so that only what depends on the picture does.

    Args:
        rules: not yet entered.
        scorer: whose network.
        images: (N, 3, H, W), which ask for gradients.

    Raises:
        Skipped: if the logits are others than the network's own, since something in it is not seen by rules, such as
            what works in place on a view. Looked at once per network and kind of rules.
    """
    with torch.enable_grad(), _frozen(scorer.model):
        picture = images * 1  # no leaf, which would count as a constant
        with rules:
            logits: Tensor = rules.now(scorer.logits(picture))
    followed = _followed.of(scorer.model, set)
    if rules.names not in followed:
        with torch.inference_mode(), evaluating(scorer.model):  # charged to nobody
            plain = scorer.model(images.detach())
        if not (logits.detach() - plain).abs().max() <= _AGREE * plain.abs().max() + 1e-6:
            raise Skipped("the network gives something else when its operations are followed one by one")
        followed.add(rules.names)
    return logits


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    asking = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in asking:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in asking:
            weight.requires_grad_(True)


class Rules(TorchFunctionMode):
    """While this block runs, functions are replaced by rules, found by the function's name.

    ``relu`` stands for ``torch.relu``, ``Tensor.relu_``, ``F.relu`` and ``nn.ReLU`` alike, ``add`` and ``iadd`` for
    ``+`` and ``+=``. What works in place need not be told apart by the rule, which gives a new tensor: wherever the old
    one is used from then on, the new one is. Nothing stays behind after the block.

    Args:
        rules: name to rule; a rule is given the function that it stands for, and the arguments.

    Attributes:
        met: the names that were replaced at least once.
        names: all names.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.met: set[str] = set()
        self.names = frozenset(rules)
        self._rules = rules
        self._instead: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}  # by id, as long as the old one lives

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
        """The value, with what was overwritten within this block replaced by what it would hold now."""
        if not self._instead:
            return value
        if isinstance(value, Tensor):
            old, new = self._instead.get(id(value), (None, value))
            return value if old is None or old() is not value else new
        if isinstance(value, dict):
            return {key: self.now(each) for key, each in value.items()}
        # A torch.Size, say, is a tuple that holds no tensors.
        return type(value)(map(self.now, value)) if type(value) in (list, tuple) else value


def _works_in_place(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a function of that name overwrites its first argument, as ``relu_``, ``+=`` or ``inplace=True`` do."""
    return (name.endswith("_") and not name.endswith("__")) or name in _OPERATORS or bool(kwargs.get("inplace"))


def out_of_place(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of an activation, told not to work in place: the input is still needed."""
    return {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs


def depends(value: Any) -> bool:
    """Whether it is computed from the picture; within :func:`logits_by` weights and constants are not."""
    return isinstance(value, Tensor) and value.requires_grad and not value.is_leaf


def check_sum(map_: Tensor, wanted: float, what: str) -> None:
    """Holds what was handed back to the pixels against what there was to hand out.

    Raises:
        Skipped: if the map's sum misses it by over 5 %, and a thousandth of Σ|map| for what rounding leaves where the
            score is near 0, since the network has operations without a rule.
    """
    total, size = float(map_.double().sum()), float(map_.abs().double().sum())
    if not abs(total - wanted) <= TOLERANCE * abs(wanted) + 1e-3 * size + 1e-6:
        raise Skipped(
            f"the map sums to {total:.4g} where {what} {wanted:.4g}: the network has operations without a rule"
        )
