"""``xaibench run``: from the command line to a request, and from events to words."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import shlex
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaibench.cli import compute_options as run_options
from xaibench.cli.console import Console
from xaibench.cli.interrupt import Stop
from xaibench.cli.parser import SEED, Parser, check_name, number, one_of, specs
from xaibench.disk import is_file, named
from xaibench.errors import UserError, plural
from xaibench.vocabulary import PRECISIONS, SUITES, TARGETS

if TYPE_CHECKING:
    from xaibench.leaderboard.leaderboard import Leaderboard
    from xaibench.running.execute import Event, Step
    from xaibench.running.resolve import Prepared

EPILOG = """examples:
  xaibench run --suite quick
  xaibench run --method gradcam 'gradcam[layer=decoder-1/2]' --data phantom --cases 5 --out runs/first

The same command again computes only what is missing. Exit code: 0 all well, 1 some cells failed and the rest is kept,
2 unusable input, 130 interrupted."""


def configure(parser: Parser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add(
        "--method",
        nargs="+",
        type=specs,
        action="extend",
        default=[],
        metavar="NAME[KEY=VALUE,…]",
        help="explainers (see `xaibench list explainers`); controls are always added",
    )
    add(
        "--suite",
        type=one_of(*SUITES),
        default="quick",
        metavar="|".join(SUITES),
        help="what is run",
    )
    add("--data", metavar="NAME|FOLDER", help="dataset, folder or zip; DRIVE where it is found, else phantoms")
    add("--split", default="test", help="which part of the data (default: test)")
    add("--cases", type=number(int, 1), metavar="N", help="only the first N images")
    add("--model", metavar="NAME|WEIGHTS|MODULE:FACTORY", help="the bundled network for this data by default")
    add("--target", type=one_of(*TARGETS), default="vessels", metavar="|".join(TARGETS), help="what is explained")
    add(
        "--metric",
        nargs="+",
        type=specs,
        action="extend",
        default=[],
        metavar="NAME[KEY=VALUE,…]",
        help="the suite's by default",
    )
    add("--out", metavar="FOLDER", help="the run's folder; below runs/ by default")
    add("--seed", type=SEED, default=0, metavar="N", help="decides all chance (default: 0)")
    add("--device", default="auto", metavar="auto|cpu|cuda:N", help="where to compute (default: auto)")
    how = "of the network: bf16 is faster on some processors, and another network in its last digits (default: float32)"
    add("--precision", type=one_of(*PRECISIONS), default="float32", metavar="|".join(PRECISIONS), help=how)
    run_options.configure(parser)
    add("--force", action="store_true", help="compute also what is there already")
    add("--dry-run", action="store_true", help="say what would be computed, and compute and write nothing")
    add("--fail-fast", action="store_true", help="end with the first failure")
    add("--json", action="store_true", help="print one JSON document instead of the table")


def execute(args: argparse.Namespace, console: Console) -> int:
    """Run, or say what would be run; returns the exit code."""
    methods, metrics = (list(chain.from_iterable(given)) for given in (args.method, args.metric))
    for name in methods:
        check_name("explainer", name)
    for name in metrics:
        check_name("metric", name)

    from xaibench.running.request import Request, prepare

    prepared = prepare(
        Request(
            methods=methods,
            data=args.data,
            split=args.split,
            cases=args.cases,
            model=model_argument(args.model),
            target=args.target,
            metrics=metrics,
            suite=args.suite,
            out=named(args.out) if args.out else None,
            seed=args.seed,
            device=args.device,
            precision=args.precision,
            **run_options.asked(args),
        )
    )
    prepared.store.report = lambda path, reason: console.warn(f"{path} is damaged and counts as missing: {reason}.")
    say = console.note if args.json else console.out
    for line in filter(None, (prepared.why, prepared.cases.note)):
        say(line)
    for line in prepared.cautions():
        console.warn(f"xaibench: {line}")
    if args.dry_run:
        return _dry(prepared, args, console)
    with prepared.store.locked(console.warn):
        return _compute(prepared, args, console)


def model_argument(text: str | None) -> str | Path | None:
    """What was given with ``--model``: a weights file as a path, so that records carry its name without its folder."""
    return Path(text) if text is not None and (text.endswith(".safetensors") or is_file(Path(text))) else text


def _size(prepared: Prepared) -> str:
    methods, cases, metrics = len(prepared.methods), len(prepared.cases), len(prepared.setting.metrics)
    return (
        f"{plural(methods * cases, 'cell')}: {plural(methods, 'method')} on {plural(cases, 'image')}, "
        f"{plural(metrics, 'metric')}, model {prepared.setting.model}, target {prepared.setting.target}"
    )


def _dry(prepared: Prepared, args: argparse.Namespace, console: Console) -> int:
    remaining = prepared.remaining(args.force)
    methods, metrics = ([str(s) for s in specs] for specs in (prepared.methods, prepared.setting.metrics))
    if args.json:
        about = {"data": prepared.why, "note": prepared.cases.note, "run": str(prepared.store.root)}
        console.out_json(about | remaining | {"methods": methods, "metrics": metrics, "cases": prepared.cases.ids})
        return 0
    console.out(f"{_size(prepared)}.")
    console.out(
        f"{remaining['kept']} kept, {remaining['scores']} with scores to compute, "
        f"{remaining['maps']} with map and scores to compute."
    )
    for title, names in (("methods", methods), ("metrics", metrics), ("images", prepared.cases.ids)):
        console.out(f"{title}: {', '.join(names)}")
    console.out(f"folder: {prepared.store.root} (nothing was written)")
    return 0


def _compute(prepared: Prepared, args: argparse.Namespace, console: Console) -> int:
    from xaibench.leaderboard.aggregate import read_leaderboards
    from xaibench.leaderboard.summary.sentences import summarise
    from xaibench.leaderboard.tables.render import render, write_leaderboard
    from xaibench.running.dask.config import ClusterLost
    from xaibench.running.resolve import run_prepared

    root = prepared.store.root
    console.note(f"{_size(prepared)}, device {prepared.device}, folder {root}.")
    # Each map's memory is measured after garbage is collected: what the imports made need not be searched each time.
    gc.freeze()
    watch = _Watch(console, len(prepared.cases) * len(prepared.methods))
    with watch.stop:
        try:
            with watch.bar:
                how = {"force": args.force, "fail_fast": args.fail_fast}
                failures = run_prepared(prepared, console.command, watch, watch=watch.step, say=console.note, **how)
            watch.stop.check()
        except KeyboardInterrupt:
            # Of what is there, unless there is nothing, or no time: Ctrl-C was pressed twice.
            with contextlib.suppress(UserError, KeyboardInterrupt):
                if watch.stop.presses < 2:
                    write_leaderboard(prepared.store, seed=args.seed)
            console.warn(f"xaibench: Interrupted after {_resumable(watch, root, console)}")
            return 130
        except ClusterLost as gone:
            console.warn(f"xaibench: {gone.message} It was after {_resumable(watch, root, console)}")
            return 1
    paths = write_leaderboard(prepared.store, seed=args.seed)
    found = read_leaderboards([prepared.store], seed=args.seed, report=prepared.store.damaged)
    boards = [b for b in found if _is_of(b, prepared)]
    lost = _lost(prepared)
    counts = {status: watch.statuses[status] for status in ("ok", "kept", "skipped", "failed")}
    summary = [line for board in boards for line in summarise(board)]
    if args.json:
        console.out_json(
            {
                "run": str(root),
                "data": prepared.why,
                "note": prepared.cases.note,
                "cells": counts,
                "lost": lost,
                "leaderboard": json.loads(render(boards, "json")),
                "summary": summary,
            }
        )
    else:
        console.note(
            f"Cells: {counts['ok']} computed, {counts['kept']} kept, "
            f"{counts['skipped']} skipped, {counts['failed']} failed."
        )
        for line in lost:
            console.note(
                f"{line['status'].capitalize()}, {line['count']} ×: {line['reason']} ({', '.join(line['what'])})."
            )
        console.out(f"\n{render(boards, faint=console.dims)}\n")
        files = ", ".join(["scores.csv", *(p.name for p in paths)])
        console.out(f"Kept in {root}: {files}, maps and records.\n")
        console.out("\n".join(summary))
    if failures:
        console.warn(f"xaibench: {plural(failures, 'cell')} failed. The same command computes only these again.")
    return int(bool(failures))


def _resumable(watch: _Watch, root: Path, console: Console) -> str:
    words = [w for w in shlex.split(console.command) if w != "--force"]  # which would begin anew
    kept = f", which are kept in {root}" if watch.done else ""
    return f"{watch.done} of {watch.total} cells{kept}. Resume with: {shlex.join(words)}"


class _Watch:
    """Turns events into a progress bar, lines on failures, and counts."""

    def __init__(self, console: Console, total: int) -> None:
        self.total = total
        self.done = 0
        self.statuses: Counter[str] = Counter()
        self.bar = console.bar(total, "cell")
        self.stop = Stop(lambda: self._now)
        self._now = "what is being done"
        self._console = console

    def __call__(self, event: Event) -> None:
        self.done = event.done
        self.statuses[event.status] += 1
        self.bar.update(free=event.status == "kept")
        if event.status == "failed":
            self._console.warn(f"{event.cell} failed: {event.reason}")
            if self._console.verbose and event.trace:
                self._console.warn(event.trace)
        self.stop.check()

    def step(self, step: Step) -> None:
        """Show what the cell is at."""
        self._now = step.cell
        parts = [step.part] if step.part != "map" else []
        parts += [plural(step.passes, "pass", "es")] if step.passes else []
        self.bar.now(step.cell, ", ".join(parts))


def _is_of(board: Leaderboard, prepared: Prepared) -> bool:
    """Whether the leaderboard is of this command; a folder can hold what several commands asked for."""
    names = ("dataset", "split", "model", "weights_digest", "target")
    return all(getattr(board, n) == getattr(prepared.setting, n) for n in names)


def _lost(prepared: Prepared) -> list[dict[str, Any]]:
    """What was asked for and is not there, each distinct reason once."""
    from xaibench.leaderboard.run_results import losses
    from xaibench.record.entry import OK

    asked = {str(m) for m in prepared.setting.metrics}
    specs, ids = {str(m) for m in prepared.methods}, set(prepared.cases.ids)
    names = ("dataset", "split", "model", "weights_digest", "target", "seed")
    mine = [
        r
        for folder in prepared.store.index.folders()
        for r in folder.records(scores=lambda code: code != OK)
        if all(getattr(r, n) == getattr(prepared.setting, n) for n in names) and r.spec in specs and r.case in ids
    ]
    found = losses(mine, asked.__contains__)
    return [{"status": f.status, "reason": f.reason, "what": list(f.what), "count": f.count} for f in found]
