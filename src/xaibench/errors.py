"""The two ways in which something can be refused: the user's mistake, and a score that has no meaning here."""

from __future__ import annotations

_LONGEST = 1000  # characters of a sentence


class UserError(Exception):
    """Bad input, told in one sentence with its cause, and the next thing to do.

    Args:
        message: one sentence that names the user's own thing and the cause; made :func:`one_line`, and shortened where
            what the user typed would fill a screen.
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
    """Raised by an explainer or metric that cannot work on this case or model; the text is the reason that is kept."""


def one_line(text: str) -> str:
    r"""The text with its control characters, and what is no Unicode at all, written out.

    The name of a file or the words of somebody else's error can hold line breaks, commands to a terminal, or bytes that
    no file can be written with.

    Example:
        >>> print(one_line("eye\n1.png, \x1b[2J, \udcff"))
        eye\n1.png, \x1b[2J, \udcff
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _short(text: str) -> str:
    """The beginning and the end of a text that is longer than any sentence."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def first_line(error: BaseException) -> str:
    """What an error says, in its first line and without the stop at its end; its type if it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0]).rstrip(".: ") if lines else type(error).__name__
