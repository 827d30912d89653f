"""Loading of networks by name, weights file or factory, in evaluation mode."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from xaibench import registry
from xaibench.disk import is_file
from xaibench.errors import UserError, did_you_mean, first_line
from xaibench.models.weights_file import load_weights

_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def load_model(name: str | Path | nn.Module) -> nn.Module:
    """A bundled or plugged-in model by name, a weights file, ``package.module:factory``, or a module as it is.

    Returns:
        A module from (N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) vessel logits, in evaluation mode.

    Raises:
        UserError: for an unknown name, an unreadable file or a factory that does not give a module.
    """
    if isinstance(name, nn.Module):
        return name.eval()
    text = str(name)
    if isinstance(name, Path) or text.endswith(_FILES):
        return load_weights(Path(name))
    if names_code(text):
        return _from_factory(text)
    if text not in registry.names("model") and is_file(Path(text)):
        return load_weights(Path(text))
    return _build(text, registry.get("model", text))


def names_code(text: str) -> bool:
    """Whether loading a model of that name imports and calls code, as for ``package.module:factory``.

    Only a name that the user typed may do so, never one that was read from a file.
    """
    return ":" in text and not text.endswith(_FILES) and text not in registry.names("model")


def _from_factory(text: str) -> nn.Module:
    module_name, _, factory_name = text.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the user's module can raise anything, or end the program
        raise UserError(
            f"The module {module_name!r} of {text!r} does not import: {_described(error)}.",
            "Is it installed, or in the folder Python starts in?",
        ) from error
    # getattr takes any text, such as one with lone surrogates, but not all text is a name.
    factory: Callable[[], Any] | None = getattr(module, factory_name, None) if factory_name.isidentifier() else None
    if factory is None:
        hint = did_you_mean(factory_name, dir(module), "Check the name.")
        raise UserError(f"{module_name} has no {factory_name!r}.", hint)
    return _build(text, factory)


def _build(text: str, factory: Callable[[], Any]) -> nn.Module:
    try:
        network = factory()
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's factory can raise anything
        raise UserError(f"The model {text!r} cannot be made: {_described(error)}.", "Mend it.") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"The model {text!r} is a {type(network).__name__}, not a torch.nn.Module.", "Return one.")
    return network.eval()


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
