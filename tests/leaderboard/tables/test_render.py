import itertools
import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from leaderboard.synthetic import aggregate, csv_rows, leaderboards, markdown_rows, record, records, stored
from xaibench.errors import UserError
from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.summary.sentences import summarise
from xaibench.leaderboard.tables.claims_table import render_claims
from xaibench.leaderboard.tables.metric_quality_table import render_metrics
from xaibench.leaderboard.tables.numbers import number, with_interval
from xaibench.leaderboard.tables.render import render, write_leaderboard
from xaibench.record import Store
from xaibench.vocabulary import TABLE_FORMATS as FORMATS

METRICS = (
    *("srg", "srg[fill=blur]", "deletion", "insertion", "auroc-thin", "auroc-thick"),
    *("lift-thin", "lift-thick", "thin-gap", "sparseness"),
)


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    rng = np.random.default_rng(0)
    methods = ["gradcam", "integrated-gradients[steps=50]", "occlusion[patch=16,stride=16]"]
    every = [
        record(m, f"{i:02d}", {k: float(rng.uniform(-1, 1)) for k in METRICS}, control=m == "frangi")
        for m in [*methods, "frangi"]
        for i in range(10)
    ]
    every += [record("broken", f"{i:02d}", {"srg": 0.1 if i else None}) for i in range(10)]
    return aggregate(every)


def test_numbers_are_short() -> None:
    shown = {0.714: ".71", -0.05: "-.05", 0: ".00", -0.001: ".00", 0.996: "1.00", 1: "1.00", 9.99: "9.99"}
    shown |= {9.996: "10.0", -12.34: "-12.3", 99.96: "100", 1234.5: "1234", float("nan"): "–", 10.02: "10.0"}
    assert {x: number(x) for x in shown} == shown
    assert [number(x, bounded=False) for x in (3e-9, -2e-4, 0.0, 0.5)] == ["3.0e-9", "-2.0e-4", ".00", ".50"]
    assert with_interval(0.71, 0.68, 0.74) == ".71 [.68, .74]"
    assert with_interval(0.71, float("nan"), float("nan")) == ".71"


def test_the_terminal_table_fits_and_sets_controls_apart(board: Leaderboard) -> None:
    text = render([board])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert "drive test" in lines[0] and "10 images" in lines[0] and "srg" in lines[0]
    rules = [i for i, line in enumerate(lines) if line.startswith("─")]
    assert len(rules) == 3
    blocks = [[line.split() for line in lines[a + 1 : b]] for a, b in itertools.pairwise(rules)]
    assert [line[0] for line in blocks[0]] == ["1", "2", "3", "–"] and blocks[0][3][1] == "broken"
    assert [line[0] for line in blocks[1]] == ["frangi"]
    assert "Kendall" in text and "srg[fill=blur]" in text


def test_a_narrow_terminal_drops_columns_and_never_the_primary(board: Leaderboard) -> None:
    narrow = render([board], width=80)
    table = narrow.split("more column")[0]
    assert max(map(len, narrow.splitlines())) <= 100
    assert "srg" in table and "insertion" not in table


def test_the_wide_table_has_every_column_with_its_interval(board: Leaderboard) -> None:
    text = render([board], wide=True)
    assert "sparseness" in text and "srg[fill=blur]" in text
    row = next(line for line in text.splitlines() if "gradcam" in line)
    assert row.count("[") == len(METRICS)


def test_csv_has_the_columns_of_the_design(board: Leaderboard) -> None:
    lines = csv_rows(render([board], "csv"))
    assert list(lines[0]) == list(board.frame.columns)
    for line, (_, expected) in zip(lines, board.frame.iterrows(), strict=True):
        assert line["method"] == expected["method"]
        for name in ("srg", "srg_lo", "lift-thick_hi", "mean_rank"):
            assert (line[name] == "") == bool(np.isnan(expected[name]))
            assert line[name] == "" or float(line[name]) == pytest.approx(expected[name], rel=1e-6)
    assert lines[3] | {"rank": "", "srg": "", "srg_lo": "", "coverage": "1.0", "control": "False"} == lines[3]


def test_json_is_strict(board: Leaderboard) -> None:
    lines = json.loads(render([board], "json"), parse_constant=pytest.fail)
    assert lines[0]["dataset"] == "drive" and lines[0]["rank"] == 1 and lines[0]["control"] is False
    assert lines[3]["srg"] is None and lines[3]["rank"] is None
    assert set(lines[0]) == set(board.frame.columns) | {"dataset", "split", "model", "target"}


def test_markdown_is_a_pipe_table(board: Leaderboard) -> None:
    table = markdown_rows(board)
    assert len(table) == 2 + len(board.rows) and len({*map(len, table)}) == 1
    assert "*frangi*" in table[-1]


def test_each_format_escapes_what_it_would_read() -> None:
    hostile = aggregate(records({r"a_b[x=50%,y=$1&2#3]{~^\|<b>*": [0.5, -0.25]}))
    text = render([hostile], "latex")
    assert r"a\_b{[}x=50\%,y=\$1\&2\#3{]}\{\textasciitilde{}\textasciicircum{}\textbackslash{}|\textless{}b" in text
    assert r"{[}$-$.25, .50{]}" in text
    assert text.count(r"\\") == 2 and r"\toprule" in text and text.count("&") == text.count(r" & ") + 1
    assert r"\|&lt;b>\*" in render([hostile], "markdown")
    assert "|&lt;b&gt;*" in render([hostile], "html")


def test_html_is_self_contained_and_balanced(board: Leaderboard) -> None:
    text = render([board], "html")
    assert text.startswith("<!doctype html>")
    body = re.sub("<(meta|br|html)([^>]*)>", r"<\1\2/>", text.partition(">")[2])  # these may stay open
    elements = [*ET.fromstring(f"<page>{body.replace('</html>', '')}</page>").iter()]
    assert not any({"src", "href"} & {*e.attrib} for e in elements)
    assert len([e for e in elements if e.tag == "tr"]) == 2 + len(board.rows)


def test_a_column_whose_ranks_do_not_hold_over_images_is_grey_and_named() -> None:
    noise = dict(zip("abcde", np.random.default_rng(0).uniform(-1, 1, (5, 20)).tolist(), strict=True))
    board = aggregate(records({m: [i / 5] * 20 for i, m in enumerate(noise)}) + records(noise, "deletion"))
    assert board.columns[1].name == "deletion" and (board.reliability(board.columns[1]) or 0) < 0.1
    assert board.reliability(board.columns[0]) == 1
    assert "Krippendorff α below .1): deletion." in render([board])
    text = render([board], "html")
    assert '<th class="weak">deletion</th>' in text and "<th>srg</th>" in text
    assert text.count('class="weak"') == 1 + len(board.rows)


def test_several_leaderboards_keep_apart_in_every_format() -> None:
    every = records({"a": [0.1, 0.2]}) + records({"b": [0.3, 0.4]}, "deletion", target="thick")
    boards = leaderboards(every)
    for format in FORMATS:
        text = render(boards, format)
        assert "vessels" in text and "thick" in text
    lines = csv_rows(render(boards, "csv"))
    assert list(lines[0])[:5] == ["dataset", "split", "model", "target", "rank"]
    assert list(lines[0])[-4:] == ["mean_rank", "group", "seconds", "passes"]
    assert (lines[0]["deletion"], lines[1]["srg"]) == ("", "")


@pytest.mark.parametrize(
    ("renderer", "format"), [(render, "pdf"), (render_metrics, "pdf"), (render_claims, "pdf"), (render_claims, "csv")]
)
def test_an_unknown_format_is_refused(renderer: Callable[..., str], format: str) -> None:
    with pytest.raises(UserError, match=f"'{format}'"):
        renderer([], format)


def test_a_run_writes_its_leaderboard(tmp_path: Path) -> None:
    store = stored(tmp_path, records({"a": [0.1, 0.2], "b": [0.3, None]}))
    first, second, third = write_leaderboard(store, read_leaderboards([store]))
    assert (first.name, second.name, third.name) == ("leaderboard.csv", "leaderboard.md", "metrics.csv")
    assert first.read_text().splitlines()[1].startswith("1,a,cam,False,1.0,0.15,")
    assert second.read_text().startswith("## drive test")
    assert third.read_text().startswith("metric,family,better,effect,p,tells,alpha,")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.alone
def test_a_finished_run_prints_in_about_a_second_without_the_heavy_libraries(tmp_path: Path) -> None:
    """30 methods, 20 images, 40 metrics; the limit is lenient, for busy machines."""
    store, rng = Store(tmp_path), np.random.default_rng(0)
    names = [*METRICS, *(f"metric-{i}" for i in range(40 - len(METRICS)))]
    for m, i in itertools.product(range(30), range(20)):
        scores = dict(zip(names, rng.uniform(-1, 1, 40).tolist(), strict=True))
        nulls = {n: rng.uniform(size=7).tolist() for n in names[4:20]}
        store.write(record(f"method-{m}", f"{i:02d}", scores, nulls))
    code = (
        "import sys\nfrom xaibench.record import Store\nfrom xaibench.leaderboard.aggregate import read_leaderboards\n"
        "from xaibench.leaderboard.tables.render import render\n"
        "from xaibench.leaderboard.summary.sentences import summarise\n"
        "boards = read_leaderboards([Store.open(sys.argv[1])])\nprint(render(boards))\nprint(summarise(boards[0]))\n"
        "print(sorted({'torch', 'scipy', 'pandas', 'skimage', 'monai'} & set(sys.modules)))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    assert done.stdout.splitlines()[-1] == "[]"
    assert "method-29" in done.stdout
    assert seconds < 5


def test_words_and_table_take_a_board_of_controls_alone() -> None:
    board = aggregate(records({"frangi": [0.1, 0.2]}, control=True))
    assert "frangi" in render([board])
    assert summarise(board) == [
        "No method is ranked, since this run has only controls.",
        "These are 2 images: too few for a test, and the intervals are rough.",
    ]
