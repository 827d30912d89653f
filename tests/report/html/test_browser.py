"""The page in a real browser: what can be clicked, dragged and typed, and what is left without scripts or on paper."""

import base64
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from report.html.test_page import written
from report.made_up_run import NASTY, write_made_up_run

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="there is no Chromium with its chromedriver")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage")
FLAGS += ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs")
    path = folder / "report.html"
    path.write_text(written(write_made_up_run(folder / "run")), "utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield found
    found.quit()


@pytest.fixture
def at(chrome: webdriver.Chrome, page: str) -> Iterator[Callable[..., webdriver.Chrome]]:
    """Opens the page in a window of some width, anew for each test; no test leaves an error in the console."""

    def opened(width: int = 1200, height: int = 900, *, script: bool = True, **media: str) -> webdriver.Chrome:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": media.get("scheme", "light")}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media.get("kind", ""), "features": features})
        chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        chrome.get(page)
        return chrome

    yield opened
    assert [e for e in chrome.get_log("browser") if e["level"] == "SEVERE"] == []
    chrome.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture
def browser(at: Callable[..., webdriver.Chrome]) -> webdriver.Chrome:
    """The page in a window of the usual size."""
    return at()


def every(inside: webdriver.Chrome | WebElement, selector: str) -> list[WebElement]:
    return inside.find_elements(By.CSS_SELECTOR, selector)


def shown(browser: webdriver.Chrome, selector: str) -> list[WebElement]:
    return [e for e in every(browser, selector) if e.is_displayed()]


def style(browser: webdriver.Chrome, element: WebElement, name: str) -> str:
    return str(browser.execute_script("return getComputedStyle(arguments[0])[arguments[1]]", element, name))


def column(browser: webdriver.Chrome, head: str, body: str) -> list[str]:
    """What stands in a column of the table that is shown."""
    (table,) = shown(browser, "table.board")
    heads = [e.text.strip(" ↕↑↓") for e in table.find_elements(By.CSS_SELECTOR, "thead th")]
    rows = table.find_elements(By.CSS_SELECTOR, f"tbody.{body} tr:not(.apart)")
    return [r.find_elements(By.CSS_SELECTOR, "td,th")[heads.index(head)].text.split("\n")[0] for r in rows]


def click_head(browser: webdriver.Chrome, head: str) -> WebElement:
    (table,) = shown(browser, "table.board")
    th = next(e for e in table.find_elements(By.CSS_SELECTOR, "thead th") if e.text.strip(" ↕↑↓") == head)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", th)
    th.find_element(By.TAG_NAME, "button").click()
    return th


def test_the_verdict_is_on_the_first_screen(browser: webdriver.Chrome) -> None:
    cards = every(browser, ".card")
    heads = [f"Best for {kind} vessels" for kind in ("all", "thin", "thick")]
    assert [c.find_element(By.TAG_NAME, "h2").text for c in cards] == heads
    assert all(c.rect["y"] + c.rect["height"] < 900 for c in cards)
    assert "the lead is real" in cards[0].text and "good[layer=decoder-1/2]" in cards[0].text


def test_no_name_became_markup(browser: webdriver.Chrome) -> None:
    assert len(every(browser, "script")) == 2 and not every(browser, "[onerror]")
    assert NASTY in browser.find_element(By.CSS_SELECTOR, "table.board").text


def test_sorting_keeps_controls_apart_and_goes_both_ways(browser: webdriver.Chrome) -> None:
    best = ["good[layer=decoder-1/2]", "fair", NASTY]
    assert column(browser, "method", "methods") == best
    th = click_head(browser, "srg-thin")  # numbers begin with the highest
    assert th.get_attribute("aria-sort") == "descending"
    assert column(browser, "method", "methods") == best[::-1]
    assert column(browser, "method", "controls")[0] == "random"
    click_head(browser, "srg-thin")
    assert th.get_attribute("aria-sort") == "ascending" and column(browser, "method", "methods") == best
    other = click_head(browser, "method")
    assert column(browser, "method", "controls") == ["frangi", "prediction", "random", "vessels-oracle"]
    assert other.get_attribute("aria-sort") == "ascending" and th.get_attribute("aria-sort") is None
    other.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert column(browser, "method", "controls")[0] == "vessels-oracle"


def test_more_columns(browser: webdriver.Chrome) -> None:
    few = len(shown(browser, "table.board thead th"))
    more = browser.find_element(By.ID, "more")
    more.click()
    assert more.get_attribute("aria-pressed") == "true" and len(shown(browser, "table.board thead th")) > few
    more.send_keys(Keys.SPACE)
    assert len(shown(browser, "table.board thead th")) == few


def test_one_target_is_chosen_for_all_sections_by_click_and_by_key(browser: webdriver.Chrome) -> None:
    lists = every(browser, "[role=tablist]")
    assert len(lists) == 4 and all(len(t.find_elements(By.CSS_SELECTOR, "[role=tab]")) == 2 for t in lists)
    assert all(e.get_attribute("data-name") == "vessels" for e in shown(browser, ".panel"))
    first = lists[0].find_elements(By.CSS_SELECTOR, "[role=tab]")
    first[1].click()
    assert len(shown(browser, ".panel")) == 4
    assert all(e.get_attribute("data-name") == "thin" for e in shown(browser, ".panel"))
    first[1].send_keys(Keys.ARROW_RIGHT)  # round to the first one, which has the focus now
    assert all(e.get_attribute("data-name") == "vessels" for e in shown(browser, ".panel"))
    assert browser.switch_to.active_element == first[0] and first[0].get_attribute("aria-selected") == "true"


def test_the_slider_sets_the_opacity_of_all_maps(browser: webdriver.Chrome) -> None:
    slider = browser.find_element(By.ID, "opacity")
    before = float(style(browser, every(browser, ".grid .heat")[0], "opacity"))
    slider.send_keys(Keys.HOME)
    assert float(style(browser, every(browser, ".grid .heat")[0], "opacity")) == 0 < before
    slider.send_keys(Keys.END)
    assert {style(browser, h, "opacity") for h in every(browser, ".heat")} == {"1"}
    assert slider.get_attribute("aria-valuetext") == "100 %"


def test_keys_swap_map_image_and_prediction_and_zoom(browser: webdriver.Chrome) -> None:
    (grid,) = shown(browser, ".grid")
    stack = grid.find_element(By.CSS_SELECTOR, ".stack")
    visible = lambda part: style(browser, stack.find_element(By.CSS_SELECTOR, part), "visibility") == "visible"
    assert visible(".heat") and not visible(".base.image") and not visible(".base.prediction")
    assert "data:image/jpeg" in style(browser, stack.find_element(By.CSS_SELECTOR, ".base.image"), "backgroundImage")
    for key, layer in (("i", ".base.image"), ("p", ".base.prediction")):
        grid.send_keys(key)
        assert visible(layer) and not visible(".heat")
    assert browser.find_element(By.CSS_SELECTOR, "input[value=prediction]").is_selected()
    grid.send_keys("m")
    assert visible(".heat")
    for on in (False, True):
        grid.send_keys("c")
        assert visible(".contour.thin") is visible(".contour.thick") is on
    grid.send_keys("++")
    assert browser.find_element(By.ID, "zoom").text == "2.3×"
    stacks = {style(browser, s, "transform") for s in every(browser, ".grid .stack")}
    assert len({t.rpartition("(")[2].split(",")[0] for t in stacks if t != "none"}) == 1  # all by the same factor
    before = style(browser, stack, "transform")
    grid.send_keys(Keys.ARROW_RIGHT)
    assert style(browser, stack, "transform") != before
    grid.send_keys("0")
    assert browser.find_element(By.ID, "zoom").text == "1×"
    assert style(browser, stack, "transform") == "matrix(1, 0, 0, 1, 0, 0)"


def test_maps_are_zoomed_by_click_and_moved_by_dragging_never_beyond_their_edge(browser: webdriver.Chrome) -> None:
    frames = shown(browser, ".grid .frame")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", frames[0])
    ActionChains(browser).move_to_element_with_offset(frames[0], -40, -40).click().perform()
    assert browser.find_element(By.ID, "zoom").text == "2.5×"
    stack, other = (f.find_element(By.CSS_SELECTOR, ".stack") for f in frames[:2])
    before = style(browser, other, "transform")

    def drag(x: int, y: int) -> None:
        ActionChains(browser).move_to_element(frames[0]).click_and_hold().move_by_offset(x, y).release().perform()

    drag(-60, -30)
    assert style(browser, other, "transform") != before
    for _ in range(3):
        drag(100, 80)
    assert style(browser, stack, "transform") == "matrix(2.5, 0, 0, 2.5, 0, 0)"
    browser.find_element(By.CSS_SELECTOR, "[data-zoom=reset]").click()
    assert style(browser, stack, "transform") == "matrix(1, 0, 0, 1, 0, 0)"


def test_the_scrubber_shows_one_step_of_all_films(browser: webdriver.Chrome) -> None:
    (films,) = shown(browser, ".films")
    slider = films.find_element(By.CSS_SELECTOR, "input[type=range]")
    said = films.find_element(By.CSS_SELECTOR, ".scrubber output")
    outputs = films.find_elements(By.CSS_SELECTOR, ".film output")
    strip = films.find_element(By.CSS_SELECTOR, ".strip")
    image = strip.find_element(By.TAG_NAME, "img")
    assert image.rect["width"] == pytest.approx(11 * strip.rect["width"], rel=0.01)
    for key, share, probability, side in ((Keys.HOME, "0 %", ".90", 0), (Keys.END, "100 %", ".10", 1)):
        slider.send_keys(key)
        assert said.text == share and {o.text for o in outputs} == {probability}
        ends = (e.rect["x"] + side * e.rect["width"] for e in (image, strip))
        assert next(ends) == pytest.approx(next(ends), abs=1)
    slider.send_keys(Keys.ARROW_LEFT)
    assert said.text == "98 %" and slider.get_attribute("aria-valuetext") == "98 % removed"


def test_everything_is_reached_by_keyboard(browser: webdriver.Chrome) -> None:
    reached = set()
    for _ in range(120):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.switch_to.active_element
        kind = element.get_attribute("id") or element.get_attribute("role") or element.get_attribute("class") or ""
        reached.add(kind.split()[0] if kind else element.tag_name)
        reached.add(element.tag_name)
    assert {"more", "opacity", "thin", "thick", "region", "group", "summary", "a", "button"} <= reached


def test_without_javascript_all_of_it_can_be_read(at) -> None:
    browser = at(script=False)
    text = every(browser, "body")[0].text
    assert text.count("target thin") >= 4 and text.count("target vessels") >= 4  # every panel
    assert "insertion" in browser.find_element(By.CSS_SELECTOR, "table.board").text  # every column
    assert "95 % bootstrap interval" in text  # the notes are open
    assert "More columns" not in text and "Opacity" not in text
    films = browser.find_element(By.CSS_SELECTOR, ".film .strip")
    assert films.find_element(By.TAG_NAME, "img").rect["width"] == pytest.approx(films.rect["width"], rel=0.01)
    assert ".90 → .82" in text


@pytest.mark.parametrize("width", [320, 400, 800, 1200])
@pytest.mark.parametrize("script", [True, False])
def test_no_window_is_too_narrow(at, width: int, script: bool) -> None:
    browser = at(width, script=script)
    measured = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    assert measured["width"] <= width


def test_on_paper_every_panel_is_there_and_no_control(at) -> None:
    browser = at(kind="print")
    assert len(shown(browser, ".panel")) == 8 and not shown(browser, ".bar") and not shown(browser, "nav")
    assert style(browser, browser.find_element(By.TAG_NAME, "body"), "backgroundColor") == "rgb(255, 255, 255)"
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert pdf.startswith(b"%PDF") and pdf.count(b"/Type /Page\n") > 2


def luminance(colour: str) -> float:
    parts = [int(float(v)) / 255 for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_in_dark(at, scheme: str) -> None:
    """WCAG 2.2, AA: 4.5 to 1."""
    browser = at(scheme=scheme)
    paper = luminance(style(browser, browser.find_element(By.TAG_NAME, "body"), "backgroundColor"))
    assert (paper > 0.5) == (scheme == "light")
    texts = "h1|.weak|.weak small|.lead|.hint|.eyebrow|figcaption|.board th|.controls td|nav a|small|.notes"
    for selector in texts.split("|"):
        ink = luminance(style(browser, browser.find_element(By.CSS_SELECTOR, selector), "color"))
        high, low = max(ink, paper), min(ink, paper)
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector
    svg: Any = browser.find_element(By.CSS_SELECTOR, ".plate svg text")
    assert style(browser, svg, "fill") == style(browser, browser.find_element(By.TAG_NAME, "body"), "color")


def test_the_browser_asks_for_nothing(browser: webdriver.Chrome) -> None:
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(str(name).startswith("data:") for name in asked)
