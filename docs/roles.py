"""Docstrings in the site: ``:class:`~package.Name``` becomes ``Name``, ``[demsar2006]`` a link to the bibliography."""

import re
from typing import Any

from xaibench.bibliography import CITATION, references

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?(?:\w+\.)*(\w+)</code>")
_QUOTED = re.compile(rf"(<code.*?</code>)|{CITATION.pattern}", re.DOTALL)
_KEY = re.compile(r"[a-z]+\d{4}[a-z]?")


def on_page_content(html: str, page: Any, **_about: Any) -> str:
    """Called by mkdocs with each page, see ``hooks`` in mkdocs.yml."""
    up = "../" * page.url.count("/")

    def linked(key: re.Match[str]) -> str:
        found = references().get(key[0])
        return f'<a href="{up}bibliography/#{key[0]}">{found.short}</a>' if found else key[0]

    def spelled(match: re.Match[str]) -> str:
        return match[1] or f"({_KEY.sub(linked, match[2])})"

    return _QUOTED.sub(spelled, _ROLE.sub(r"<code>\1</code>", html))
