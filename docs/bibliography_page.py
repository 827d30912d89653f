"""Write ``bibliography.md`` from the packaged bibliography: ``python docs/bibliography_page.py``."""

from collections.abc import Iterator
from pathlib import Path

from xaibench.bibliography import Reference, references

PAGE = Path(__file__).with_name("bibliography.md")
HEAD = """# Bibliography

Every paper that the code, this documentation and the results name, by topic. A key, such as `selvaraju2017`, is the
first author's surname and the year. Docstrings cite a paper as `[selvaraju2017]`, and `xaibench list explainers --json`
and `xaibench list metrics --json` print its title, DOI and arXiv number.

This page is printed from `src/xaibench/bibliography.toml` by `python docs/bibliography_page.py`.
"""


def page() -> str:
    """The page as Markdown, with an HTML anchor per key."""
    return HEAD + "".join(_topics())


def _topics() -> Iterator[str]:
    for topic in dict.fromkeys(r.topic for r in references().values()):
        yield f"\n## {topic.capitalize()}\n\n"
        yield from (_entry(r) for r in references().values() if r.topic == topic)


def _entry(reference: Reference) -> str:
    authors = ", ".join(_in_order(author) for author in reference.authors)
    links = [f"[doi:{reference.doi}](https://doi.org/{reference.doi})"] if reference.doi else []
    links += [f"[arXiv:{reference.arxiv}](https://arxiv.org/abs/{reference.arxiv})"] if reference.arxiv else []
    links += [f"[{reference.link.split('/')[2]}]({reference.link})"] if reference.link else []
    title = reference.title if reference.title.endswith("?") else f"{reference.title}."
    where = ". ".join(filter(None, [f"{reference.venue}, {reference.year}", ", ".join(links)]))
    return f'* <a id="{reference.key}"></a>`{reference.key}` {authors}: *{title}* {where}.\n'


def _in_order(author: str) -> str:
    """Initials first: ``"Selvaraju, R. R."`` as ``"R. R. Selvaraju"``."""
    surname, _, initials = author.partition(", ")
    return f"{initials} {surname}" if initials else f"and {surname}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(PAGE)
