"""Shows the docstrings' cross references, ``:class:`~package.Name```, as ``Name`` in the site."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?(?:\w+\.)*(\w+)</code>")


def on_page_content(html: str, **_about: Any) -> str:
    """Called by mkdocs with each page, see ``hooks`` in mkdocs.yml."""
    return _ROLE.sub(r"<code>\1</code>", html)
