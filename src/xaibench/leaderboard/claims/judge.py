"""The founding paper's claims about Grad-CAM on vessels, judged by the numbers of a run.

:mod:`xaibench.leaderboard.claims.evidence` lists the claims and the evidence on each, one number per image. A test
compares their mean with the value at chance level or without a preference:

* supported: the 95 % bootstrap interval lies wholly above, and p < .05 (Wilcoxon over images, Holm over all tests on
  one dataset, split and model);
* not supported: the interval lies wholly below, and p < .05;
* undecided: otherwise, with fewer than 6 images, and if an image lacks a number that it should have.

A claim with several tests has the verdict that they agree on, else it is undecided. For SHAP and LIME against Grad-CAM
the verdict is better, worse or undecided.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from xaibench.leaderboard.aggregate import read_leaderboards
from xaibench.leaderboard.claims.evidence import Question, questions
from xaibench.leaderboard.claims.false_positive_table import Component, read_components
from xaibench.leaderboard.claims.verdict import AGAINST, SUPPORTED, UNDECIDED, UNMEASURED, Test, assess, together
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.statistics.rank_tests import FEWEST
from xaibench.record import Store
from xaibench.record.manifest import Manifest
from xaibench.record.store import Report, ignore

_COMPARED = {SUPPORTED: "better", AGAINST: "worse"}  # verdicts of question 5, which compares two methods
_OPTIONS = ("--data", "--split", "--model", "--seed", "--device")  # of the run's own command


@dataclass(frozen=True)
class Claim:
    """A claim with its tests and its verdict.

    Attributes:
        name: ``"1"``, ``"2"``, ``"2b"`` …
        statement: the claim.
        dataset, split, model, target: the data that it was judged on.
        method: the row that made the maps; empty for a claim about the prediction, or about several missing methods.
        tests: one per piece of evidence.
        verdict: ``"supported"``, ``"not supported"``, ``"undecided"`` or ``"not measured"``; for claim 5 ``"better"``
            and ``"worse"`` instead of the first two.
        words: the verdict in one sentence, with the numbers.
        command: the command that measures missing evidence; empty if nothing is missing.
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
    measures = [(e.name, e.against, sample) for q in asked for e, sample in q.measures]
    tests = iter(assess(measures, seed=boards[0].seed))
    return [_judged(q, tuple(next(tests) for _ in q.measures), boards[0], begin) for q in asked]


def read_claims(stores: Sequence[Store], *, report: Report = ignore) -> list[list[Claim]]:
    """The claims on each dataset, split and model of one run, or of several runs together.

    Args:
        stores: the runs.
        report: called with each damaged record and the reason; such a record counts as missing.

    Raises:
        UserError: if the runs hold no record, or a file of false positives is damaged.
    """
    return claims_on(stores, read_leaderboards(stores, report=report))


def claims_on(stores: Sequence[Store], boards: Sequence[Leaderboard]) -> list[list[Claim]]:
    """The claims on each dataset, split and model, from leaderboards that were read already.

    Args:
        stores: the runs.
        boards: all leaderboards of these runs, in the order in which they are read.

    Raises:
        UserError: if a file of false positives is damaged.
    """
    components = [c for store in stores for c in read_components(store.root)]
    claims = []
    for (dataset, _, model, _), same in groupby(boards, key=lambda board: board.key[:4]):
        group = list(same)
        found = [c for c in components if (c.dataset, c.model) == (dataset, model)]
        claims.append(judge(group, found, begin=_command_start(stores, group)))
    return claims


def _judged(q: Question, tests: tuple[Test, ...], board: Leaderboard, begin: Sequence[str]) -> Claim:
    verdict = together(tests)
    if q.name == "5":
        verdict = _COMPARED.get(verdict, verdict)
    command = ""
    if absent := [e for (e, _), t in zip(q.measures, tests, strict=True) if t.verdict == UNMEASURED]:
        metrics = dict.fromkeys(name for e in absent for name in e.metrics)
        methods = [re.sub(r" @.*", "", m) for m in q.methods]  # a row's version is no part of what a user types
        command = shlex.join([*begin, "--target", q.target, "--method", *methods, "--metric", *metrics])
    return Claim(
        *(q.name, q.statement, board.dataset, board.split, board.model, q.target, q.method, tests, verdict),
        words=_sentence(q, tests, verdict),
        command=command,
    )


def _sentence(q: Question, tests: Sequence[Test], verdict: str) -> str:
    """The verdict in one sentence, with the numbers and how many images have them."""
    reasons = [e.says(t.value) for (e, _), t in zip(q.measures, tests, strict=True) if t.images]
    text = f"{q.statement}: {verdict}"
    if reasons:
        text += f"{'; ' if verdict == UNDECIDED else ', since '}{' and '.join(reasons)}"
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


def _command_start(stores: Sequence[Store], boards: Sequence[Leaderboard]) -> list[str]:
    """The first words of a command that adds to the run of these leaderboards."""
    board = boards[0]
    manifests = [(store, store.read_run()) for store in stores]
    same = [(s, m) for s, m in manifests if (m.dataset, m.model) == (board.dataset, board.model)]
    store, manifest = (same or manifests)[0]
    words = ["xaibench", "run", *(_options(manifest) or ["--data", board.dataset, "--model", board.model])]
    # A published folder is read-only: the command makes a run beside it.
    out = Path("runs") / store.root.resolve().name if store.published else store.root
    return [*words, "--cases", str(max(len(b.cases) for b in boards)), "--out", str(out)]


def _options(manifest: Manifest) -> list[str] | None:
    """The options of the run's command that name images and network; None if it is no command of the command line."""
    try:
        words = shlex.split(manifest.command or "")
    except ValueError:
        return None
    if words[:2] != ["xaibench", "run"]:
        return None
    options = []
    for i, word in enumerate(words):
        option, equals, _ = word.partition("=")
        if option in _OPTIONS:
            options += [word] if equals else words[i : i + 2]
    return options
