"""Turn a saved run of the benchmarks into Markdown: ``python bench/report.py bench.json > results/bench.md``.

Ratios and no seconds, which say more about a machine than about a program.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

MANY = 50  # passes, from which on overhead is the method's own and not the start's


def read(path: Path) -> list[dict[str, Any]]:
    """What was measured, one dictionary per benchmark."""
    return [b["extra_info"] for b in json.loads(path.read_text())["benchmarks"] if "kind" in b["extra_info"]]


def timed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are told as multiples of a pass."""
    return [r for r in rows if "pass_seconds" in r]


def ideal(row: dict[str, Any]) -> float:
    """Seconds that the row's passes take at the speed of single ones just before and after."""
    return row["passes"] * row["pass_seconds"] + row["gradients"] * row["gradient_seconds"]


def efficiency(row: dict[str, Any]) -> float:
    """Passes × a single pass ÷ wall time; above 1 where crops save work."""
    return ideal(row) / row["wall"]


def in_passes(row: dict[str, Any]) -> float:
    """Wall time as a multiple of a single pass."""
    return row["wall"] / row["pass_seconds"]


def report(path: Path) -> str:
    """The tables."""
    saved = json.loads(path.read_text())
    every = read(path)
    rows = timed(every)
    gradient = statistics.median(r["gradient_seconds"] / r["pass_seconds"] for r in rows)
    lines = [
        "# Cost of methods and metrics",
        "",
        f"One run of `make bench` on {saved['machine_info']['cpu']['count']} cores "
        f"({saved['machine_info']['cpu'].get('brand_raw', 'unknown')}), one image of DRIVE's size. Times are multiples "
        "of a pass. A pass is the median of single forward passes of the network with folded batch norms: five just "
        "before the measured work, five just after it, and one every .7 s during it, whose time is not counted. "
        f"A pass with gradient takes {gradient:.1f} passes. Efficiency is passes × time of a single pass ÷ wall time. "
        "It is above 1 where a crop around a changed area, or the part of the network behind a changed layer, replaces "
        "a pass of the whole image through the whole network.",
        *_costs(rows, "explainer", "Explainers"),
        *_costs(rows, "metric", "Metrics, for one map"),
        *_peers(rows),
        *_growth([r for r in every if r["kind"] == "growth"]),
        *(line for r in every if r["kind"] == "precision" for line in _precision(r)),
    ]
    return "\n".join(lines) + "\n"


def _costs(rows: list[dict[str, Any]], kind: str, title: str) -> list[str]:
    lines = ["", f"## {title}", "", "| name | time, passes | passes | and with gradient | efficiency | peak MB |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for r in sorted((r for r in rows if r["kind"] == kind), key=lambda r: r["name"]):
        found = f"{efficiency(r):.2f}" if r["passes"] + r["gradients"] >= MANY else "–"
        numbers = f"{in_passes(r):.1f} | {r['passes']} | {r['gradients']} | {found} | {r['peak_mb']:.0f}"
        lines.append(f"| {r['name']} | {numbers} |")
    return lines


def _peers(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["", "## The same work in other libraries", ""]
    lines += ["| work | with | time, passes | × ours | peak MB | × ours | agreement |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | --- |"]
    pairs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        if "pair" in r:
            pairs[r["pair"]].append(r)
    for pair, members in pairs.items():
        ours = next((r for r in members if r["kind"] == "ours"), None)
        for r in sorted(members, key=lambda r: r["kind"] != "ours"):
            lines.append(
                f"| {pair} | {r['name']} | {in_passes(r):.1f} | {_times(r, ours, 'wall')} | {r['peak_mb']:.0f} "
                f"| {_times(r, ours, 'peak_mb')} | {_agreement(r)} |"
            )
    return lines


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    lines = ["", "## Growth", "", "Time of a run of small phantoms, as a multiple of the first column's.", ""]
    lines += ["| of | 1 | 2 | 4 |", "| --- | ---: | ---: | ---: |"]
    return lines + [f"| {r['name']} | {' | '.join(f'{s:.2f}' for s in r['shares'])} |" for r in rows]


def _precision(row: dict[str, Any]) -> list[str]:
    lines = ["", "## Reduced precision", ""]
    lines += [
        f"A pass with `--precision {row['name']}` takes {row['speed']:.2f} of one in float32 here. The table has its "
        "effect on the scores of six methods and the controls on two phantoms of 256 px: how far they change, the "
        "standard deviation over methods and images, and Kendall's tau between the scores in both precisions.",
        "",
    ]
    lines += ["| metric | mean | mean change | largest | standard deviation | tau |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    return lines + [f"| {name} | {' | '.join(f'{v:.3g}' for v in values)} |" for name, values in row["rows"].items()]


def _times(row: dict[str, Any], ours: dict[str, Any] | None, what: str) -> str:
    return "–" if ours is None or row is ours else f"{row[what] / ours[what]:.1f}"


def _agreement(row: dict[str, Any]) -> str:
    if "difference" in row:
        return f"largest difference {row['difference']:.0e}"
    return f"r = {row['correlation']:.3f}" if "correlation" in row else ""


if __name__ == "__main__":
    print(report(Path(sys.argv[1])), end="")
