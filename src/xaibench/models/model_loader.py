"""Loading of networks by name, weights file or factory, in evaluation mode."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from xaibench import registry
from xaibench.disk import is_file
from xaibench.errors import UserError, did_you_mean, first_line
from xaibench.models.weights_file import load_weights

_FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def load_model(name: str | Path | nn.Module) -> nn.Module:
    """A bundled or plugged-in model by name, a weights file, ``package.module:factory``, or a module as it is.

    A factory's module may be a file, ``path/to/nets.py:factory``.

    Returns:
        A module from (N, 3, H, W) RGB in [0, 1] to (N, 1, H, W) vessel logits, in evaluation mode.

    Raises:
        UserError: for an unknown name, an unreadable file or a factory that does not give a module.
    """
    if isinstance(name, nn.Module):
        return name.eval()
    text = str(name)
    if text.endswith(".py"):
        raise UserError(f"{text} is a file of code, and no function in it is named.", f"Give {text}:make, for example.")
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
    place, _, factory_name = text.rpartition(":")
    module = _imported(place)
    # getattr takes any text, such as one with lone surrogates, but not all text is a name.
    factory: Callable[[], Any] | None = getattr(module, factory_name, None) if factory_name.isidentifier() else None
    if factory is None:
        hint = did_you_mean(factory_name, dir(module), "Check the name.")
        raise UserError(f"{place} has no {factory_name!r}.", hint)
    return _build(text, factory)


def _imported(place: str) -> ModuleType:
    """The module of a name or file; its folder, or the working folder, is searched first, as ``python -m`` does.

    The folder stays on the search path, as its last entry, for what the module imports later and for workers.
    """
    folder, name = _named(Path(place)) if place.endswith(".py") else (Path.cwd(), place)
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # the user's module can raise anything, or end the program
        absent = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        hint = "Give the path to its file, as in path/to/nets.py:make, or install it." if absent else "Mend it."
        raise UserError(f"The module {place!r} does not import: {_described(error)}.", hint) from error
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    if place.endswith(".py") and not Path(module.__file__ or "").samefile(place):
        raise UserError(f"{place} has the name of another module, {module.__file__ or name}.", "Rename the file.")
    return module


def _named(file: Path) -> tuple[Path, str]:
    """The folder to import a file from, and its name there, with the packages that it lies in."""
    if not is_file(file):
        raise UserError(f"There is no file {file}.", "Check the path.")
    folder, parts = file.absolute().parent, [file.stem]
    while is_file(folder / "__init__.py"):
        folder, parts = folder.parent, [folder.name, *parts]
    return folder, ".".join(parts)


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
