"""A digest of a function that no distribution registered: of its code, and of all that it reaches in its module."""

import contextlib
import dis
import hashlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any


def local_version(function: Callable[..., Any]) -> str:
    """12 hex digits that change with what a function does, but not with its place in a file or from process to process.

    What counts is its code and defaults, the values that it was made with, and the functions, classes and values of its
    own module that it names, and what these name in turn. Other modules do not count.

    Example:
        >>> local_version(lambda image: image + 1) == local_version(lambda image: image + 2)
        False
    """
    return hashlib.sha256(_Content(function).of(function).encode()).hexdigest()[:12]


class _Content:
    """Text of values, each function, class and container once, since they can hold each other."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._module = getattr(_unwrapped(function), "__module__", None) or type(function).__module__
        self._seen: list[object] = []  # compared by identity

    def of(self, value: object) -> str:
        """The text of one value."""
        match value:
            case CodeType():
                return f"({value.co_code.hex()} {value.co_names} {self.of(value.co_consts)})"
            case tuple():
                return f"[{' '.join(map(self.of, value))}]"
            case list():
                return self._once(value, lambda: self.of(tuple(value)))
            case dict():
                return self._once(value, lambda: self.of(tuple(value.items())))
            case frozenset() | set():  # their order differs from process to process
                return f"{{{' '.join(sorted(map(self.of, value)))}}}"
            case partial():
                return self.of((value.func, value.args, sorted(value.keywords.items())))
            case MethodType():
                return self.of((value.__func__, value.__self__))
            case FunctionType():
                return self._once(value, lambda: self.of(tuple(self._function(value))))
            case ModuleType():
                return value.__name__
            case type() if value.__module__ == self._module:
                return self._once(value, lambda: self.of((value.__bases__, *self._attributes(value))))
            case _ if type(value).__module__ == self._module:
                return self._once(value, lambda: self.of((type(value), *self._attributes(value))))
        # Arrays and tensors show only a part of what is in them.
        shown = value.tolist() if hasattr(value, "tolist") and not isinstance(value, type) else value
        return re.sub(r" at 0x\w+", "", repr(shown))

    def _once(self, value: object, text: Callable[[], str]) -> str:
        for i, seen in enumerate(self._seen):
            if seen is value:
                return f"#{i}"
        self._seen.append(value)
        return text()

    def _function(self, function: FunctionType) -> Iterator[object]:
        yield from (function.__code__, function.__defaults__ or (), function.__kwdefaults__ or {})
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # a variable without a value yet
                yield cell.cell_contents
        if function.__module__ == self._module:
            scope, changed = function.__globals__, set(_changed(function.__code__))
            named = ((name, scope[name]) for name in sorted(set(_names(function.__code__))) if name in scope)
            yield tuple(item for item in named if not (item[0] in changed and isinstance(item[1], list | dict | set)))

    def _attributes(self, value: object) -> list[tuple[str, object]]:
        """The methods and plain attributes of a class or object; a list may be what it notes as it works."""
        kinds = (FunctionType, staticmethod, classmethod, property, str, int, float, tuple)
        attributes = getattr(value, "__dict__", {})
        return sorted(
            (name, getattr(each, "__func__", None) or getattr(each, "fget", None) or each)
            for name, each in attributes.items()
            if (each is None or isinstance(each, kinds) or hasattr(each, "tolist")) and name not in _OF_A_CLASS
        )


_CHANGES = ("append", "extend", "insert", "add", "update", "setdefault", "pop", "popitem", "remove", "discard", "clear")
# Of every class, and no part of what it does.
_OF_A_CLASS = ("__module__", "__doc__", "__qualname__", "__firstlineno__", "__static_attributes__", "__annotations__")


def _unwrapped(function: Any) -> Any:
    """The function of a partial or method."""
    while isinstance(function, partial | MethodType):
        function = function.func if isinstance(function, partial) else function.__func__
    return function


def _changed(code: CodeType) -> Iterator[str]:
    """Names of values that a function may change as it works, as a log or a cache: they are no part of it."""
    instructions = list(dis.get_instructions(code))
    stores = any(each.opname == "STORE_SUBSCR" for each in instructions)
    for one, following in pairwise(instructions):
        if one.opname == "LOAD_GLOBAL" and (stores or following.argval in _CHANGES):
            yield str(one.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _changed(constant)


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function's code and the functions in it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
