"""The founding paper's claims about Grad-CAM on vessels, judged by the numbers of a run.

:mod:`xaibench.leaderboard.claims.evidence` lists the claims and the evidence on each, one number per image; a test
asks whether their mean lies above what chance or even-handedness would give:

* supported: the 95 % bootstrap interval lies wholly above, and p < .05 (Wilcoxon over images, Holm over all tests made
  on one dataset, split and model);
* not supported: the interval lies wholly below, and p < .05;
* undecided: otherwise, with fewer than 6 images, and where an image lacks a number that it should have.

A claim with several tests is what they agree on, else undecided. Of SHAP and LIME against Grad-CAM the verdict reads
better, worse or undecided.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.claims.evidence import Question, questions
from xaibench.leaderboard.claims.false_positive_table import Component, read_components
from xaibench.leaderboard.claims.verdict import AGAINST, SUPPORTED, UNDECIDED, UNMEASURED, Test, assess, together
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics.rank_tests import FEWEST
from xaibench.record import Store

_COMPARED = {SUPPORTED: "better", AGAINST: "worse"}  # of claim 5, which claims nothing
_KEPT = ("--data", "--split", "--model", "--seed", "--device")  # of the run's own command


@dataclass(frozen=True)
class Claim:
    """A claim with the tests it was held against.

    Attributes:
        name: ``"1"``, ``"2"``, ``"2b"`` …
        statement: what is claimed.
        dataset, split, model, target: what it was judged on.
        method: whose maps; empty where it is about the prediction alone, or about several methods that are missing.
        tests: one per measure.
        verdict: ``"supported"``, ``"not supported"``, ``"undecided"`` or ``"not measured"``; of claim 5 ``"better"``
            and ``"worse"`` instead of the first two.
        words: the verdict in one sentence, with the numbers.
        command: what would measure that which is missing; empty if nothing is.
    """

    name: str
    statement: str
    dataset: str
    split: str
    model: str
    target: str
    method: str
    tests: tuple[Test, ...]
    verdict: str
    words: str
    command: str


def judge(
    boards: Sequence[Leaderboard], components: Sequence[Component] = (), *, begin: Sequence[str] = ("xaibench", "run")
) -> list[Claim]:
    """The claims on one dataset, split and model, in their order.

    Args:
        boards: at least one, each of another target.
        components: the false positives on these images.
        begin: the first words of a command that adds to this run.
    """
    asked = questions({b.target: b for b in boards}, components)
    tests = iter(assess([(m.name, m.against, m.sample) for q in asked for m in q.measures], seed=boards[0].seed))
    return [_judged(q, tuple(next(tests) for _ in q.measures), boards[0], begin) for q in asked]


def read_claims(stores: Sequence[Store], *, report: Callable[[Path, str], object] | None = None) -> list[list[Claim]]:
    """The claims on each dataset, split and model of one run, or of several taken together.

    Args:
        stores: the runs.
        report: called with each damaged record and the reason; such a record counts as one that is not there.

    Raises:
        UserError: if the runs hold no record, or a file of false positives is damaged.
    """
    return claims_on(stores, read_leaderboards(stores, report=report))


def claims_on(stores: Sequence[Store], boards: Sequence[Leaderboard]) -> list[list[Claim]]:
    """As :func:`read_claims`, where the leaderboards of the runs were read already."""
    groups: dict[tuple[str, ...], list[Leaderboard]] = defaultdict(list)
    for board in boards:
        groups[board.dataset, board.split, board.model, board.weights_digest].append(board)
    components = [c for store in stores for c in read_components(store.root)]
    return [
        judge(
            group,
            [c for c in components if (c.dataset, c.model) == (group[0].dataset, group[0].model)],
            begin=_begin(stores, group),
        )
        for group in groups.values()
    ]


def _judged(q: Question, tests: tuple[Test, ...], board: Leaderboard, begin: Sequence[str]) -> Claim:
    found = together(tests)
    if q.name == "5":
        found = _COMPARED.get(found, found)
    about = (board.dataset, board.split, board.model, q.target)
    command = ""
    if absent := [m for m, t in zip(q.measures, tests, strict=True) if t.verdict == UNMEASURED]:
        metrics = dict.fromkeys(name for m in absent for name in m.metrics)
        # A version that stands in a row's name is not what one types.
        methods = [re.sub(r" @.*", "", m) for m in q.methods]
        words = [*begin, "--target", q.target, "--method", *methods]
        command = shlex.join([*words, *(["--metric", *metrics] if metrics else [])])
    return Claim(q.name, q.statement, *about, q.method, tests, found, _words(q, tests, found), command)


def _words(q: Question, tests: Sequence[Test], found: str) -> str:
    said = [m.says(t.value) for m, t in zip(q.measures, tests, strict=True) if t.images]
    text = f"{q.statement}: {found}"
    if said:
        text += f"{'; ' if found == UNDECIDED else ', since '}{' and '.join(said)}"
    images = sorted({t.images for t in tests if t.verdict != UNMEASURED})
    notes = []
    if images:
        span = f"{images[0]} to {images[-1]}" if len(images) > 1 else str(images[0])
        few = ", which is too few" if images[-1] < FEWEST else ""
        notes.append(f"{span} image{'s' * (span != '1')}{few}")
    if left_out := max(t.left_out for t in tests):
        notes.append(f"{left_out} without a meaningful number left out")
    if lost := max(t.lost for t in tests):
        notes.append(f"{lost} where it failed or was not computed, so nothing is decided")
    return f"{text} ({', '.join(notes)})." if notes else f"{text}."


def _begin(stores: Sequence[Store], boards: Sequence[Leaderboard]) -> list[str]:
    """The first words of a command that adds to the run that these leaderboards are of."""
    board = boards[0]
    asked = [(store, store.read_run()) for store in stores]
    same = [(s, a) for s, a in asked if (a.get("dataset"), a.get("model")) == (board.dataset, board.model)]
    store, run = (same or asked)[0]
    words = ["xaibench", "run", *(_given(run) or ["--data", board.dataset, "--model", board.model])]
    # What is published is added to in a run of its own, beside which it is then read.
    out = store.root if store.shown == store.root else Path("runs") / store.shown.resolve().name
    return [*words, "--cases", str(max(len(b.cases) for b in boards)), "--out", str(out)]


def _given(run: Mapping[str, Any]) -> list[str] | None:
    """Which images and network the run's command asked for, None if it was none of the command line."""
    try:
        words = shlex.split(str(run.get("command", "")))
    except ValueError:
        return None
    if words[:2] != ["xaibench", "run"]:
        return None
    found = []
    for i, word in enumerate(words):
        option, equals, _ = word.partition("=")
        if option in _KEPT:
            found += [word] if equals else words[i : i + 2]
    return found
