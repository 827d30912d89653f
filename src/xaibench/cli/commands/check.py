"""``xaibench check``: run the conformance checks on explainers and metrics."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from xaibench import registry
from xaibench.cli import options
from xaibench.cli.console import Console, table
from xaibench.cli.parser import Parser
from xaibench.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from xaibench.conformance import CheckResult

SUMMARY = "Check explainers or metrics for conformance."
NONCONFORMING = 3
EPILOG = """examples:
  xaibench check my-method
  xaibench check --quick gradcam 'gradcam[layer=decoder-1/2]'
  xaibench check 'srg[fill=mean]' auroc-thin

A plugin may declare a check that it cannot pass by its nature, with the reason:
  @explainer(…, known_failures={"planted-evidence": "why"})

Exit code: 0 all passed, were skipped, or failed as declared; 2 unusable input; 3 a check failed."""


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME[KEY=VALUE,…]", help="explainers or metrics (see `xaibench list`)")
    add("--quick", action="store_true", help="leave out the cost of a map of a DRIVE-sized image")
    options.add_json(parser, "tables")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Check each plugin; returns the exit code."""
    specs = {str(spec): spec for spec in map(_spec, args.names)}
    found: dict[str, list[CheckResult]] = {}
    for name, spec in specs.items():
        found[name] = _check(spec, args.quick, console)
        if not args.json:
            console.out(f"{_shown(name, found[name])}\n\n")
    failed = [name for name, results in found.items() if any(r.status == "failed" for r in results)]
    if args.json:
        checked = [
            {
                "kind": specs[name].plugin.kind,
                "name": name,
                "ok": name not in failed,
                "checks": [asdict(r) for r in results],
            }
            for name, results in found.items()
        ]
        console.out_json({"ok": not failed, "checked": checked})
    if failed:
        console.warn(f"xaibench: {', '.join(failed)} failed. Mend and check again with: {console.command}")
    return NONCONFORMING if failed else 0


def _spec(name: str) -> registry.Spec:
    """The metric of that name if there is one, else the explainer."""
    plain = name.partition("[")[0].strip()
    kinds = {known: kind for kind in ("explainer", "metric") for known in registry.names(kind)}
    if plain not in kinds:
        otherwise = "`xaibench list explainers` and `xaibench list metrics` show what there is."
        raise UserError(f"There is no explainer or metric called {plain!r}.", did_you_mean(plain, kinds, otherwise))
    return registry.parse(kinds[plain], name)


def _check(spec: registry.Spec, quick: bool, console: Console) -> list[CheckResult]:
    from xaibench.conformance import Limits, check_explainer, check_metric, check_names
    from xaibench.conformance.metric_checks import METRIC_CHECKS

    metric = spec.plugin.kind == "metric"
    with console.bar(len(METRIC_CHECKS if metric else check_names(quick)), "check") as bar:

        def progress(name: str) -> None:
            bar.now(str(spec), name)
            bar.update()

        if metric:
            return check_metric(spec, progress=progress)
        return check_explainer(spec, quick=quick, limits=Limits(), progress=progress)


def _shown(name: str, results: list[CheckResult]) -> str:
    counts = Counter(r.status for r in results)
    counted = ", ".join(f"{counts[s]} {s}" for s in ("passed", "skipped", "expected", "failed") if counts[s])
    lines = [[r.name, r.status, f"{r.seconds:.1f} s", r.detail] for r in results]
    heads = ("check", "result", "time", "detail")
    return f"{name}: {counted}\n\n{table(heads, lines, left=len(heads))}"
