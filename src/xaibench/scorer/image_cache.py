"""A typed cache of values derived from one image."""

import hashlib
from collections.abc import Callable, Hashable
from typing import Concatenate, ParamSpec, TypeVar, cast

import numpy as np

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
        self._values: dict[Hashable, object] = {}
        self._map, self._of_map = b"", dict[Hashable, object]()

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
        return cast("T", self._values[key])

    def of_map(
        self,
        compute: Callable[Concatenate[np.ndarray, P], T],
        attribution: np.ndarray,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As :meth:`get`, for a value derived from a map; only values of the latest map are kept.

        Args:
            compute: called with the map and the other arguments.
            attribution: told apart from other maps by its content.
            *args: see :meth:`get`.
            **kwargs: as ``args``.
        """
        digest = hashlib.sha1(np.ascontiguousarray(attribution).data, usedforsecurity=False).digest()
        if digest != self._map:
            self._map, self._of_map = digest, {}
        key = (compute, args, *kwargs.items())
        if key not in self._of_map:
            self._of_map[key] = compute(attribution, *args, **kwargs)
        return cast("T", self._of_map[key])
