"""The bibliography: its entries are well-formed, and every citation in code, documentation and results has an entry."""

import re
import runpy
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from xaibench import registry
from xaibench.bibliography import CITATION, Reference, find, references, spell_out

ROOT = Path(__file__).parents[1]
CITING = [
    *(p for suffix in ("py", "html", "txt") for p in sorted((ROOT / "src").rglob(f"*.{suffix}"))),
    *(p for p in sorted((ROOT / "docs").glob("*.*")) if p.suffix in (".md", ".py")),
    *sorted((ROOT / "results").glob("*.md")),
    ROOT / "README.md",
]
TEXTS = {path: path.read_text("utf-8") for path in CITING if path.name != "bibliography.md"}
KEY = re.compile(r"[a-z]+[12]\d{3}[a-z]?")
ANCHOR = re.compile(r"bibliography\.md#([^)\s]+)")
# "Selvaraju 2017", "Knutsson & Westin 1993", "Rong et al. 2022", "Demšar (2006)"
NAMED = re.compile(
    r"\b((?:van der )?[A-Z][^\W\d_]+(?:-[A-Z][^\W\d_]+)?)(?: et al\.| (?:&|and) [A-Z]\w+)? \(?((?:18|19|20)\d\d)\b"
)
NO_PAPERS = {"JPEG 2000"}


def ascii_letters(text: str) -> str:
    return re.sub("[^a-z]", "", unicodedata.normalize("NFKD", text).lower())


def keys_of(text: str) -> set[str]:
    """The keys that a text cites in brackets or by a link to the bibliography's page."""
    return {*ANCHOR.findall(text), *(key for cited in CITATION.findall(text) for key in KEY.findall(cited))}


@pytest.mark.parametrize("entry", references().values(), ids=lambda r: r.key)
def test_an_entry_is_well_formed(entry: Reference) -> None:
    surname = entry.authors[0].partition(",")[0]
    assert re.fullmatch(rf"{ascii_letters(surname)}{entry.year}[a-z]?", entry.key)
    assert all(re.fullmatch(r"\S.*, \S.*|others", author) for author in entry.authors)
    assert entry.title.strip() == entry.title and not entry.title.endswith(".") and entry.venue
    assert not entry.doi or re.fullmatch(r"10\.\d{4,5}/\S+", entry.doi)
    assert not entry.arxiv or re.fullmatch(r"\d{4}\.\d{4,5}", entry.arxiv)
    assert not entry.link or (re.fullmatch(r"https://\S+", entry.link) and not entry.doi and not entry.arxiv)
    assert entry.url == "" or entry.url.startswith("https://")


@pytest.mark.parametrize("field", ["doi", "arxiv", "link", "title"])
def test_no_work_is_listed_twice(field: str) -> None:
    values = Counter(filter(None, (getattr(entry, field).lower() for entry in references().values())))
    assert [value for value, times in values.items() if times > 1] == []


@pytest.mark.parametrize("kind", ["explainer", "metric"])
def test_every_paper_of_a_plugin_is_listed(kind: str) -> None:
    plugins = [plugin for plugin in registry.available(kind)[0] if plugin.distribution[0] == "xaibench"]
    named = {plugin.name: paper for plugin in plugins if (paper := plugin.traits.paper)}
    assert len(named) > 20
    assert {name: paper for name, paper in named.items() if find(paper) is None} == {}


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_citation_has_an_entry(path: Path) -> None:
    text = TEXTS[path]
    assert keys_of(text) <= set(references())
    named = {f"{name} {year}" for name, year in NAMED.findall(text)}
    assert {short for short in named - NO_PAPERS if find(short) is None} == set()


def test_every_entry_is_cited() -> None:
    everything = "\n".join(TEXTS.values())
    cited = keys_of(everything) | {
        entry.key for name, year in NAMED.findall(everything) if (entry := find(f"{name} {year}"))
    }
    assert set(references()) - cited == set()


def test_the_page_is_printed_from_the_entries() -> None:
    printed = runpy.run_path(str(ROOT / "docs" / "bibliography_page.py"))["page"]()
    assert (ROOT / "docs" / "bibliography.md").read_text("utf-8") == printed
    assert re.findall(r'<a id="([^"]+)">', printed) == list(references())


def test_citations_are_spelled_out() -> None:
    assert spell_out("A ROC area [hanley1982].") == "A ROC area (Hanley 1982)."
    assert spell_out("Chance [arras2022, adapted].") == "Chance (Arras 2022, adapted)."
    untouched = "values in [0, 1], layer[bottleneck], [nobody2031]"
    assert spell_out(untouched) == untouched


def test_a_paper_is_found_by_its_key_or_short_form() -> None:
    assert find("Nobody 2017") is None
    assert find("Bach 2015") is find("bach2015") is references()["bach2015"]
