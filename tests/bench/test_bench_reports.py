"""What is made of saved benchmark runs: ratios, and an exit code where something got slower."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"


def saved(path: Path, *rows: dict[str, Any]) -> Path:
    """A file as pytest-benchmark writes it, with one unmarked benchmark more."""
    benchmarks = [{"extra_info": row} for row in (*rows, {})]
    machine = {"cpu": {"count": 2, "brand_raw": "made up"}}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks}))
    return path


def row(name: str, wall: float, *, kind: str = "explainer", **more: Any) -> dict[str, Any]:
    """One benchmark on a machine where a pass takes .1 s and one with gradient .25 s."""
    found = {"kind": kind, "name": name, "wall": wall, "passes": 100, "gradients": 0, "peak_mb": 300.0}
    return found | {"pass_seconds": 0.1, "gradient_seconds": 0.25} | more


def run(script: str, *argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, BENCH / script, *map(str, argv)], capture_output=True, text=True)


def test_the_report_has_ratios(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "run.json",
        row("lime", 12.5),
        row("integrated-gradients", 25.0, passes=0, gradients=80),
        row("gradcam", 0.4, passes=0, gradients=1),
        row("srg", 9.0, kind="metric", passes=40),
        row("ours", 10.0, kind="ours", pair="the work", peak_mb=200.0),
        row("theirs", 45.0, kind="peer", pair="the work", peak_mb=1000.0, difference=3.2e-6),
        {"kind": "growth", "name": "images", "shares": [1.0, 2.01, 3.98]},
        {"kind": "precision", "name": "bf16", "speed": 0.5, "rows": {"srg": [0.5, 0.001, 0.0025, 0.2, 0.98]}},
    )
    said = run("report.py", path)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert "| lime | 125.0 | 100 | 0 | 0.80 | 300 |" in lines
    assert "| integrated-gradients | 250.0 | 0 | 80 | 0.80 | 300 |" in lines
    assert "| gradcam | 4.0 | 0 | 1 | – | 300 |" in lines
    assert "| srg | 90.0 | 40 | 0 | – | 300 |" in lines
    assert "| images | 1.00 | 2.01 | 3.98 |" in lines and "| srg | 0.5 | 0.001 | 0.0025 | 0.2 | 0.98 |" in lines
    assert "| the work | ours | 100.0 | – | 200 | – |  |" in lines
    assert "| the work | theirs | 450.0 | 4.5 | 1000 | 5.0 | largest difference 3e-06 |" in lines


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "No regression."),
        ({"wall": 12.0}, "No regression."),
        ({"wall": 14.0}, "explainer lime takes 140.0 passes instead of 100.0"),
        # Twice as slow a machine is no slower a program.
        ({"wall": 20.0, "pass_seconds": 0.2}, "No regression."),
        ({"peak_mb": 420.0}, "No regression."),
        ({"peak_mb": 520.0}, "explainer lime takes 520 MB instead of 300"),
        ({"name": "lemon"}, "explainer lime is gone"),
    ],
)
def test_a_regression_is_told_from_noise(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    old = saved(tmp_path / "old.json", row("lime", 10.0))
    new = saved(tmp_path / "new.json", row("lime", 10.0) | change)
    found = run("compare.py", old, new)
    assert found.stdout.strip() == said and found.returncode == (said != "No regression.")


def test_what_is_shorter_than_three_passes_and_what_peers_do_is_not_judged(tmp_path: Path) -> None:
    old = saved(tmp_path / "old.json", row("gradcam", 0.1), row("lime", 9.0, kind="peer"))
    new = saved(tmp_path / "new.json", row("gradcam", 0.28), row("lime", 90.0, kind="peer"))
    assert run("compare.py", old, new).returncode == 0
    worse = saved(tmp_path / "worse.json", row("gradcam", 0.5), row("lime", 9.0, kind="peer"))
    assert run("compare.py", old, worse).returncode == 1
    assert run("compare.py", old, worse, "--tolerance", "1").returncode == 0
