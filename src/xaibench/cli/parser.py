"""Parsing of options, with one-sentence errors for mistyped ones."""

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from xaibench import registry
from xaibench.disk import named
from xaibench.errors import UserError, did_you_mean

Number = TypeVar("Number", int, float)

# argparse's message as a pattern, the sentence that replaces it (filled from the groups), and whether help is hinted.
_SENTENCES = (
    (r"the following arguments are required: (.+)", "Missing: {0}.", True),
    (r"argument (\S+?)(?:/\S+)?: expected .*argument", "{0} needs a value.", True),
    (r"argument (\S+?)(?:/\S+)?: (.+)", "{0}: {1}", False),  # the rest is a sentence of a converter below
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are :class:`UserError` with the nearest known option."""

    def __init__(self, prog: str, summary: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=summary,
            epilog=epilog,
            allow_abbrev=False,  # an abbreviation can change its meaning with a later version
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse(self, argv: list[str]) -> argparse.Namespace:
        """The options.

        Raises:
            UserError: for an unknown option or an invalid value.
        """
        args, extra = self.parse_known_args(argv)
        if extra:
            option = next((e for e in extra if e.startswith("-")), None)
            if option is None:
                raise UserError(f"`{self.prog}` does not take {extra[0]!r}.", self._help())
            name = option.partition("=")[0]
            options = [o for o in self._option_string_actions if o.startswith("--")]
            raise UserError(f"`{self.prog}` has no option {name}.", did_you_mean(name, options, self._help()))
        return args

    def error(self, message: str) -> NoReturn:
        for pattern, sentence, hint in _SENTENCES:
            if match := re.fullmatch(pattern, message, re.DOTALL):
                raise UserError(sentence.format(*match.groups()), self._help() if hint else "")
        raise UserError(f"{message[:1].upper()}{message[1:]}.", self._help())

    def _help(self) -> str:
        return f"`{self.prog} --help` shows what it takes."


def one_of(*known: str) -> Callable[[str], str]:
    """A converter to one of some names."""

    def convert(text: str) -> str:
        if text in known:
            return text
        hint = did_you_mean(text, known, f"There are {', '.join(known)}.")
        raise argparse.ArgumentTypeError(f"there is no {text!r}. {hint}")

    return convert


def number(kind: type[Number], least: float = -math.inf, most: float = math.inf) -> Callable[[str], Number]:
    """A converter to a finite number within bounds, ends included."""
    words = "whole number" if kind is int else "number"
    bounds = [f"of {least:g} or more"] if math.isfinite(least) else []
    bounds += [f"of {most:g} or less"] if math.isfinite(most) else []

    def convert(text: str) -> Number:
        try:
            value = kind(text)
            good = math.isfinite(value) and least <= value <= most
        except (ValueError, OverflowError):  # not a number, or an integer beyond the range of floats
            good = False
        if not good:
            wanted = " ".join([words, " and ".join(bounds)]).strip()
            raise argparse.ArgumentTypeError(f"it takes a {wanted}, not {text!r}.")
        return value

    return convert


SEED = number(int, 0, 2**63 - 1)


def output_path(text: str) -> Path:
    """A converter to the path of a file or folder to write.

    Raises:
        UserError: if nothing can have that name.
    """
    if not text:
        raise argparse.ArgumentTypeError("it takes the name of a file or folder, not ''.")  # which would be "."
    return named(text)


def specs(text: str) -> list[str]:
    """A converter to plugins with parameters, separated by commas outside brackets.

    Example:
        >>> specs("lime[segments=200,samples=1000],gradcam")
        ['lime[segments=200,samples=1000]', 'gradcam']
    """
    parts = re.split(r",(?![^\[]*\])", text)
    if text.count("[") != text.count("]"):
        raise argparse.ArgumentTypeError(f"a bracket is missing in {text!r}.")
    if not all(p.strip() for p in parts):
        raise argparse.ArgumentTypeError(f"a name is missing in {text!r}.")
    return [p.strip() for p in parts]


def check_name(kind: str, text: str) -> None:
    """Refuse a mistyped plugin name before anything heavy is imported.

    Raises:
        UserError: if no plugin of that kind has this name.
    """
    name = text.partition("[")[0].strip()
    if name not in registry.names(kind):
        registry.get(kind, name)
