"""Backward rules of one's own for a network's operations, whichever way the network calls them.

Libraries hang such rules on modules. That fails on many a segmentation network: an activation module that is used
twice overwrites what was stored of its first use, activations called as functions are never seen, in-place ones change
what was stored, and skip connections and gates are no modules at all. Here the functions themselves are intercepted
while the network runs, so that it makes no difference how they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from xaibench.errors import Skipped

Rule = Callable[..., Any]  # (function, *args, **kwargs) -> what the function would return

ELEMENTWISE = (
    *("relu", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign"),
    *("sigmoid", "tanh", "hardtanh", "relu6", "hardswish", "hardsigmoid", "logsigmoid", "exp", "log", "sqrt", "rsqrt"),
)
PRODUCTS = ("mul", "multiply", "rmul", "imul")
TOLERANCE = 0.05  # of what a map must sum to, by which it may miss it


class Rules(TorchFunctionMode):
    """While this block runs, functions are replaced by rules, found by the function's name.

    ``relu`` stands for ``torch.relu``, ``Tensor.relu_``, ``F.relu`` and ``nn.ReLU`` alike, ``add`` and ``iadd`` for
    ``+`` and ``+=``. Nothing stays behind after the block.

    Args:
        rules: name to rule; a rule is given the function that it stands for, and the arguments.

    Attributes:
        met: the names that were replaced at least once.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.met: set[str] = set()
        self._rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "").strip("_")
        rule = self._rules.get(name)
        if rule is None:
            return func(*args, **(kwargs or {}))
        self.met.add(name)
        return rule(func, *args, **(kwargs or {}))


def out_of_place(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of an activation, told not to work in place: the input is still needed."""
    return {**kwargs, "inplace": False} if "inplace" in kwargs else kwargs


def depends(value: Any) -> bool:
    """Whether it is computed from the picture; weights and constants are not."""
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
