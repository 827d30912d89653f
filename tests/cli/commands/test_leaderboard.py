import csv
import io
import sys
import time
from collections.abc import Sequence
from importlib.metadata import entry_points as installed
from pathlib import Path

import pytest
from faults import python
from leaderboard.synthetic import record

from cli.said import METHODS, Register, Run
from xaibench.record import Store
from xaibench.registry import entry_points


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ((), "phantom test · tiny · target vessels · 2 images"),
        (("--format", "markdown"), "## phantom test"),
        (("--format", "latex"), "% phantom test"),
        (("--format", "html"), "<!doctype html>"),
        (("--format", "csv"), "rank,method,family,control,coverage,auroc-vessels,"),
    ],
)
def test_every_format(xaibench: Run, finished: Path, options: Sequence[str], begins: str) -> None:
    said = xaibench("leaderboard", str(finished), *options)
    assert said.code == 0 and not said.err and said.out.startswith(begins) and "gradcam" in said.out


def test_csv_and_json_hold_the_same(xaibench: Run, finished: Path) -> None:
    text = xaibench("leaderboard", str(finished), "--format", "csv").out
    assert text == (finished / "leaderboard.csv").read_text()
    lines = list(csv.DictReader(io.StringIO(text)))
    rows = xaibench("leaderboard", str(finished), "--format", "json").json
    assert [r["method"] for r in rows] == [line["method"] for line in lines] and len(rows) == METHODS
    numbers = [line["auroc-vessels"] for line in lines]
    assert [r["auroc-vessels"] for r in rows] == [float(n) if n else None for n in numbers]


def test_a_plugins_metric_is_a_main_column_of_table_and_report_without_the_plugin(
    xaibench: Run, compute: Run, register_plugin: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its label, explanation and place are read from the run: when they are printed there is no such plugin."""
    register_plugin("peak-share", "cli.unusual:peak_share", group="xaibench.metrics")
    metrics = ("--metric", "lift-thin", "peak-share", "auroc-thin", "auroc-thick", "ap-thin")
    assert compute(*metrics, "--out", "run", "-q").code == 0
    monkeypatch.setattr(entry_points, "entry_points", installed)
    entry_points.points_of.cache_clear()
    assert "peak-share" not in entry_points.names("metric")
    table = xaibench("leaderboard", "run", "--format", "markdown").out
    head = next(line for line in table.splitlines() if line.startswith("| #"))
    shown = [cell.strip() for cell in head.strip("|").split("|")]
    assert shown == ["#", "method", "auroc-thin", "auroc-thick", "peak", "lift-thin", "seconds", "passes"]
    assert ",peak-share,peak-share_lo,peak-share_hi," in xaibench("leaderboard", "run", "--format", "csv").out
    assert xaibench("report", "run", "--no-films").code == 0
    page = Path("run/report.html").read_text("utf-8")
    title = "The share of the map in its highest pixel. Higher is better. Family: shape."
    assert f'<th scope="col" title="{title}" class="">peak</th>' in page and f"<dt>peak</dt><dd>{title}</dd>" in page


def test_the_quality_of_the_metrics(xaibench: Run, finished: Path) -> None:
    text = xaibench("leaderboard", str(finished), "--metrics", "--format", "csv").out
    assert text == (finished / "metrics.csv").read_text() and text.startswith("metric,family,better,effect,p,tells,")
    (row,) = xaibench("leaderboard", str(finished), "--metrics", "--format", "json").json
    assert (row["metric"], row["tells"], row["weak"]) == ("auroc-vessels", "too few images to tell", False)
    for format in ("table", "markdown", "latex", "html"):
        said = xaibench("leaderboard", str(finished), "--metrics", "--format", format)
        assert said.code == 0 and not said.err and "too few images to tell" in said.out


@pytest.mark.parametrize(
    ("terminal", "no_color", "dimmed"), [(True, "", True), (True, "1", False), (False, "", False), (False, "1", False)]
)
@pytest.mark.parametrize("option", ["--wide", "--metrics"])
def test_weak_metrics_are_dimmed_in_a_terminal_alone(
    xaibench: Run, monkeypatch: pytest.MonkeyPatch, terminal: bool, no_color: str, dimmed: bool, option: str
) -> None:
    store = Store("run")
    for method in ("random", "vessels-oracle"):
        for i in range(6):
            store.write(record(method, str(i), {"dull": 0.5}, control=True))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    said = xaibench("leaderboard", "run", option)
    assert said.code == 0 and ("\x1b[2m" in said.out) == dimmed


def test_several_runs_are_taken_together(xaibench: Run, finished: Path, small: tuple[str, ...]) -> None:
    data = [a if a != "2" else "1" for a in small]  # one image more than nothing, and another method
    assert xaibench("run", *data, "--method", "gradcam[layer=last]", "--out", "other").code == 0
    rows = xaibench("leaderboard", str(finished), "other", "--format", "json").json
    assert {r["method"]: r["coverage"] for r in rows if not r["control"]} == {"gradcam": 1, "gradcam[layer=last]": 0.5}


def test_a_target_that_the_run_lacks(xaibench: Run, finished: Path) -> None:
    said = xaibench("leaderboard", str(finished), "--target", "thin")
    assert said.code == 2 and "'thin'" in said.err and "It has vessels" in said.err
    assert xaibench("leaderboard", str(finished), "--target", "vessels").code == 0


@pytest.mark.alone
def test_it_answers_in_a_second(finished: Path) -> None:
    code = "import sys; from xaibench.cli.main import main; assert main(['leaderboard', sys.argv[1], '--wide']) == 0"
    start = time.perf_counter()
    python(code, str(finished))
    assert time.perf_counter() - start < 5  # one second on a machine that does nothing else
