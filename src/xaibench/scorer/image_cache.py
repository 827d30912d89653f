"""A typed cache of values derived from one image."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class ImageCache:
    """Results of functions by function and arguments, so that metrics and explainers of one image share them.

    Example:
        >>> cache = ImageCache()
        >>> cache.get(list, "ab") is cache.get(list, "ab")
        True
    """

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}

    def get(self, compute: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``compute(*args)``, computed once; an exception is not kept.

        Args:
            compute: a function or class of a module; a function made anew at every call is never found again.
            *args: hashable; cases, targets and scorers are told apart by identity.
            **kwargs: as ``args``.
        """
        key = (compute, args, *kwargs.items())
        if key not in self._values:
            self._values[key] = compute(*args, **kwargs)
        value: T = self._values[key]
        return value
