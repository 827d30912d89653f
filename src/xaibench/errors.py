"""The two exceptions that users see, and the wording that error messages share."""

import difflib
from collections.abc import Iterable

_LONGEST = 1000  # characters of a sentence


class UserError(Exception):
    """Bad input: one sentence with its cause, and the next thing to do.

    Args:
        message: one sentence that names the user's own thing and the cause. Control characters are escaped, and a long
            text is shortened, since what the user typed may fill a screen.
        hint: what to type or change next; empty if the message says it all.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        message, hint = _short(one_line(message)), _short(one_line(hint))
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Skipped(Exception):
    """Raised by an explainer or metric that cannot work on this case or model; the text is recorded as the reason."""


def one_line(text: str) -> str:
    r"""The text with control characters and lone surrogates escaped.

    A file name or another library's error message can hold line breaks, terminal commands, or bytes that cannot be
    written to a file.

    Example:
        >>> print(one_line("eye\n1.png, \x1b[2J, \udcff"))
        eye\n1.png, \x1b[2J, \udcff
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _short(text: str) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the full stop at its end; its type if the message is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0]).rstrip(".: ") if lines else type(error).__name__


def did_you_mean(text: str, known: Iterable[str], otherwise: str = "", *, most: int = 2) -> str:
    """A hint with the known names that are most similar to a mistyped one.

    Args:
        text: what was typed.
        known: the names that exist.
        otherwise: the hint if none of them is similar.
        most: how many names to suggest.

    Example:
        >>> did_you_mean("gradcan", ["gradcam", "saliency"]), did_you_mean("x", ["gradcam"], "There is gradcam.")
        ('Did you mean gradcam?', 'There is gradcam.')
    """
    similar = difflib.get_close_matches(text, list(known), n=most, cutoff=0.6)
    return f"Did you mean {' or '.join(similar)}?" if similar else otherwise


def plural(count: int, noun: str, ending: str = "s") -> str:
    """A count with its noun, which takes the ending unless the count is 1.

    Example:
        >>> plural(1, "image"), plural(0, "pass", "es")
        ('1 image', '0 passes')
    """
    return f"{count} {noun}{ending * (count != 1)}"
