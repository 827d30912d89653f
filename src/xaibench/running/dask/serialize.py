"""Pickling of what a run sends to its workers; errors name what cannot be sent or read."""

import copyreg
import pickle
from typing import Any

from xaibench import registry
from xaibench.errors import UserError, first_line
from xaibench.registry import Plugin


def dumped(value: object, what: str) -> bytes:
    """The value pickled.

    Args:
        value: any.
        what: names it in an error message.

    Raises:
        UserError: if it cannot be pickled.
    """
    from distributed.protocol.pickle import dumps

    try:
        return bytes(dumps(value))
    except Exception as error:  # what cannot be pickled fails in any way
        raise UserError(
            f"{what} cannot be sent to a worker: {first_line(error)}.",
            "Run without workers, or name it instead of giving an object.",
        ) from error


def loaded(content: bytes, what: str) -> Any:
    """The inverse of :func:`dumped`, on a worker.

    Raises:
        UserError: if it cannot be unpickled there, or a plugin there is of another version.
    """
    try:
        return pickle.loads(content)
    except UserError:
        raise
    except Exception as error:  # what cannot be imported here fails in any way
        raise UserError(
            f"{what} cannot be read on a worker: {type(error).__name__}: {first_line(error)}.",
            "Install there what is installed here, or give functions in the script itself.",
        ) from error


def _reduce(plugin: Plugin) -> Any:
    """Registered plugins are pickled by name, as Python pickles functions; a user's own function by value."""
    if plugin.name in registry.names(plugin.kind) and registry.get(plugin.kind, plugin.name) is plugin:
        return _registered, (plugin.kind, plugin.name, plugin.distribution)
    _ = plugin.distribution  # a digest of the function as the user gave it, cached and sent with the plugin
    return object.__reduce_ex__(plugin, 4)


def _registered(kind: str, name: str, distribution: tuple[str, str]) -> Plugin:
    plugin = registry.get(kind, name)
    if plugin.distribution != distribution:
        there, here = (" ".join(d) for d in (plugin.distribution, distribution))
        raise UserError(f"The {kind} {name!r} is of {there} there and of {here} here.")
    return plugin


copyreg.pickle(Plugin, _reduce)
