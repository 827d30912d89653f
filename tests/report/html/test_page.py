"""What the page says, and that nothing of it comes from elsewhere; no browser is needed."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from report.made_up_run import METHODS, NASTY, NASTY_CASE, write_made_up_run
from xaibench.leaderboard.claims.judge import claims_on
from xaibench.leaderboard.run_results import read_results
from xaibench.record import Store
from xaibench.record.manifest import Manifest
from xaibench.report.html.page import breakable, render
from xaibench.report.sections.provenance import provenance


class Page(HTMLParser):
    """The elements of a page in their order, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._silent = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)

    def of(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and all(v in a.get(k, "").split() for k, v in wanted.items())]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def written(store: Store, **about: object) -> str:
    results = read_results([store])
    return render(store, results, claims_on([store], [r.board for r in results]), **about)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(write_made_up_run(tmp_path_factory.mktemp("runs") / "a run"), command=f"xaibench report '{NASTY}'")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_the_first_screen_names_the_best_methods_and_whether_the_lead_is_real(page: Page) -> None:
    first = page.text[: page.text.index("The table")]
    best = "good[layer=decoder-1/2] explains this network best for all and thick vessels"
    assert f"On the 7 images of made-up, {best}" in first
    assert f"{NASTY} explains this network best for thin vessels" in first
    assert "The lead over the next method is real for all vessels (over fair" in first
    assert "beats a plain vessel filter (frangi" in first and "network's own output shown as a map (prediction" in first
    assert first.index("Best for all vessels") < first.index("Best for thin") < first.index("Best for thick")


def test_the_sections_stand_in_their_order(page: Page) -> None:
    sections = [a["id"] for a in page.of("section") if "id" in a]
    assert sections == ["table", "maps", "curves", "responses", "claims", "failures", "provenance"]


def test_nothing_is_loaded_from_elsewhere(page: Page, source: str) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), (tag, name, value)
    styles = re.findall(r"url\(([^)]{0,12})", source)
    assert styles and all(s.startswith(("data:image", "#")) for s in styles)
    assert "@import" not in source and "fetch(" not in source and "XMLHttpRequest" not in source


def test_the_names_of_others_are_text_and_nothing_else(page: Page, source: str) -> None:
    assert len(page.of("script")) == 2  # the page's own
    assert not [a for t, a in page.elements if "onerror" in a or a.get("src") == "x"]
    assert page.text.count(NASTY) > 10 and NASTY_CASE in page.text
    assert "<script>alert" not in source and "<img src=x" not in source


def test_names_inside_drawings_are_text_of_well_formed_svg(source: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", source, re.DOTALL)
    assert len(drawings) >= 8
    texts = [t for d in drawings for t in ET.fromstring(d).itertext()]
    assert any(NASTY in t for t in texts)
    assert "var(--ink)" in source and "#010203" not in source


def test_identifiers_are_unique_and_references_within_drawings_are_kept(page: Page, source: str) -> None:
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', source))
    assert used and {a or b for a, b in used} <= {*ids}


def test_every_picture_has_words_and_every_figure_a_caption_that_says_how_to_read_it(page: Page, source: str) -> None:
    assert all(a.get("alt") for a in page.of("img"))
    assert all(len(a["aria-label"]) > 30 for a in page.of("div", role="img")) and page.of("div", role="img")
    plates = re.findall(r'<figure class="plate.*?</figure>', source, re.DOTALL)
    assert plates and all("<figcaption>How to read it" in p for p in plates)


def test_controls_stand_apart_in_the_table(source: str) -> None:
    methods = re.findall(r'<tbody class="methods">(.*?)</tbody>', source, re.DOTALL)
    controls = re.findall(r'<tbody class="controls">(.*?)</tbody>', source, re.DOTALL)
    assert len(methods) == len(controls) == 2
    assert methods[0].count('scope="row"') == len(METHODS) and "frangi" not in methods[0] and "frangi" in controls[0]


def test_cells_are_sorted_by_numbers_and_each_column_has_as_many_as_its_head(source: str) -> None:
    table = re.search(r'<table class="board">(.*?)</table>', source, re.DOTALL)
    assert table
    head = table[1].index("</thead>")
    columns = len(re.findall(r"<th ", table[1][:head]))
    for row in re.findall(r"<tr>(.*?)</tr>", table[1][head:], re.DOTALL):
        assert len(re.findall(r"<t[hd]\b", row)) == columns
    for text, value in re.findall(r'data-value="([^"]*)" class="[^"]*">([-.\d]+) <small>', table[1]):
        assert float(text) == pytest.approx(float(value), abs=0.006)


def test_failures_are_told_with_their_reasons_and_provenance_with_digests(page: Page) -> None:
    failures = page.text[page.text.index("Failures and skips") :]
    assert f"ValueError: {NASTY_CASE}" in failures and "sparseness" in failures
    for word in ("case000000000003", "weights0123456", "made-up 1", f"xaibench run --method '{NASTY}'", "python 3.11"):
        assert word in failures


def test_the_rules_of_choice_are_stated(page: Page) -> None:
    assert "Best, median and worst image by the mean of srg over methods without controls" in page.text
    assert "99.5th percentile" in page.text
    assert "The first 3 methods of the table, and the control prediction." in page.text


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    store = write_made_up_run(tmp_path / "run", images=2, targets=("vessels",))
    assert written(store) == written(store)


def test_without_pictures_the_maps_stand_alone_and_without_films_it_is_said_why(tmp_path: Path) -> None:
    store = write_made_up_run(tmp_path / "old", images=3, targets=("vessels",), pictures=False, films=False)
    text = Page(written(store, without_films="The run does not say where its images can be had.")).text
    assert "This run keeps no pictures of its images, so the maps are shown alone" in text
    assert "No step-by-step pictures: The run does not say where its images can be had." in text


def test_one_image_and_a_lost_map(tmp_path: Path) -> None:
    store = write_made_up_run(tmp_path / "one", images=1, targets=("vessels",))
    record = next(r for r in store.records() if r.spec == "fair")
    store.map_path(record.map_key).unlink()
    text = Page(written(store)).text
    assert "One image says nothing about other images." in text and "no map: lost" in text


def test_damaged_files_are_named(tmp_path: Path) -> None:
    store = write_made_up_run(tmp_path / "run", images=2, targets=("vessels",))
    assert "cell.json" in Page(written(store, damaged=[("cell.json", "<b>it broke</b>")])).text


def test_what_may_be_shown_to_others_is_said(tmp_path: Path) -> None:
    from dataclasses import replace

    (result,) = read_results([write_made_up_run(tmp_path / "run", images=1, targets=("vessels",))])
    for dataset, words in (("drive", "forbid redistribution"), ("chase", "CC BY"), ("mine", "terms of their source")):
        changed = replace(result, board=replace(result.board, dataset=dataset))
        assert any(words in term for term in provenance(Manifest(), [changed], tmp_path, "")["terms"])


def test_a_name_may_be_broken_where_it_is_joined_and_is_escaped() -> None:
    assert breakable("a[b=<i>,c=1]") == "a<wbr>[b=&lt;i&gt;,<wbr>c=1]"
