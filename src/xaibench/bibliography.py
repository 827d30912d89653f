"""The bibliography: one reference per paper that xaibench names, read from ``bibliography.toml``.

Code and documentation cite a paper by its key, as in ``[selvaraju2017]``.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

# A citation: a key in brackets, with others after a semicolon or a place in the work after a comma.
CITATION = re.compile(r"\[([a-z]+\d{4}[a-z]?(?:[;,][^\[\]]*)?)\]")


@dataclass(frozen=True, slots=True)
class Reference:
    """A paper, book or web page.

    Attributes:
        key: the first author's surname in ASCII letters, the year, and a letter where two works share both.
        authors: each as ``"Surname, Initials"``; ``"others"`` stands for the rest of a long list.
        year: of publication.
        title: as printed.
        venue: journal, conference or publisher, with volume and pages where they are known.
        topic: the heading under which the page lists it.
        doi: the bare identifier, such as ``"10.1109/ICCV.2017.74"``; empty if there is none, or if it is not confirmed.
        arxiv: the bare number, such as ``"1610.02391"``; empty if there is none.
        link: the address of a work that has neither.
    """

    key: str
    authors: tuple[str, ...]
    year: int
    title: str
    venue: str
    topic: str
    doi: str = ""
    arxiv: str = ""
    link: str = ""

    @property
    def short(self) -> str:
        """First author and year, as in "Selvaraju 2017"."""
        return f"{self.authors[0].partition(',')[0]} {self.year}"

    @property
    def url(self) -> str:
        """Where to read it: the DOI, else arXiv, else the link; empty if it has none of them."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else self.link


@cache
def references() -> Mapping[str, Reference]:
    """All references by key, in the order of the file.

    Example:
        >>> references()["selvaraju2017"].short
        'Selvaraju 2017'
    """
    text = files("xaibench").joinpath("bibliography.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    return MappingProxyType(
        {key: Reference(key, **table | {"authors": tuple(table["authors"])}) for key, table in tables.items()}
    )


def find(text: str) -> Reference | None:
    """The reference that a key or a short form, such as "Selvaraju 2017", names; None if there is none.

    Two works with the same short form are told apart by their keys only: the short form names the first of them.
    """
    known = references()
    return known.get(text) or next((r for r in known.values() if r.short == text), None)


def spell_out(text: str) -> str:
    """The text with its citations as a reader knows them.

    Example:
        >>> spell_out("Shapley values by sampling [castro2009; strumbelj2010].")
        'Shapley values by sampling (Castro 2009; Štrumbelj 2010).'
    """

    def spelled(match: re.Match[str]) -> str:
        known = references()
        words = re.sub(r"[a-z]+\d{4}[a-z]?", lambda m: known[m[0]].short if m[0] in known else m[0], match[1])
        return f"({words})" if words != match[1] else match[0]

    return CITATION.sub(spelled, text)
