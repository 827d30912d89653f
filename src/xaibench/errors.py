"""The two ways in which something can be refused: the user's mistake, and a score that has no meaning here."""

from __future__ import annotations


class UserError(Exception):
    """Bad input, told in one sentence with its cause, and the next thing to do.

    Args:
        message: one sentence that names the user's own thing and the cause.
        hint: what to type or change next; empty if the message says it all.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Skipped(Exception):
    """Raised by an explainer or metric that cannot work on this case or model; the text is the reason that is kept."""
