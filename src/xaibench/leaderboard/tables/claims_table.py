"""Verdicts on the claims in every output format."""

import dataclasses
import math
from collections.abc import Sequence

from xaibench.errors import plural
from xaibench.leaderboard.claims.judge import Claim
from xaibench.leaderboard.claims.verdict import UNMEASURED, Test
from xaibench.leaderboard.export import json_text, plain
from xaibench.leaderboard.statistics.rank_tests import ALPHA
from xaibench.leaderboard.tables.formats import write_sheets
from xaibench.leaderboard.tables.numbers import EMPTY, number, probability, with_interval
from xaibench.leaderboard.tables.sheet import Sheet

_HEADS = ["claim", "method", "measure", "images", "mean", "above", "r", "p", "verdict"]
_RULE = (
    "Supported: the 95 % bootstrap interval over images lies wholly above the value in the column above, and p < .05 "
    "(Wilcoxon over images, after Holm over the {tests} of this table). Not supported: it lies wholly below, and p < "
    ".05. Undecided: otherwise, with fewer than 6 images, if an image lacks a number that it should have, or if the "
    "tests of a claim disagree. r: matched-pairs rank-biserial correlation (Kerby 2014)."
)


def claim_row(claim: Claim) -> dict[str, object]:
    """A claim and its tests in the types of JSON; None for a missing number."""
    fields = dataclasses.asdict(claim)
    tests = list(map(plain, fields.pop("tests")))
    return {"claim": fields.pop("name"), **fields, "tests": tests}


def claim_sheet(claims: Sequence[Claim]) -> Sheet:
    """The table of the claims on one dataset, split and model.

    One line per test, with the verdict in the first line of a claim; the sentences and the rule as notes.
    """
    lines = [
        [*(("", "") if i else (c.name, c.method)), *_cells(t), "" if i else c.verdict]
        for c in claims
        for i, t in enumerate(c.tests)
    ]
    images = [t.images for c in claims for t in c.tests if t.images]
    made = len(images)
    notes = [f"({c.name}) {c.words}" for c in claims]
    notes += [f"({c.name}) What is missing is measured by `{c.command}`" for c in claims if c.command]
    notes.append(_RULE.format(tests=plural(made, "test")))
    if images and made * 2 / 2 ** max(images) >= ALPHA:  # Holm's first step on the smallest possible p
        needed = math.floor(math.log2(2 * made / ALPHA)) + 1
        notes.append(f"No p of so many tests can fall below .05 with {max(images)} images or fewer: it takes {needed}.")
    title = f"Claims · {claims[0].dataset} {claims[0].split} · {claims[0].model}"
    left = frozenset(map(_HEADS.index, ("claim", "method", "measure", "verdict")))
    return Sheet(title, _HEADS, lines, notes, left=left)


def _cells(t: Test) -> list[str]:
    if t.verdict == UNMEASURED:
        return [t.measure, EMPTY, EMPTY, number(t.against), EMPTY, EMPTY]
    of = t.images + t.left_out + t.lost
    return [
        *(t.measure, str(t.images) if t.images == of else f"{t.images} of {of}"),
        *(with_interval(t.value, t.low, t.high, bounded=False), number(t.against), number(t.effect)),
        probability(t.p_holm),
    ]


def render_claims(groups: Sequence[Sequence[Claim]], format: str = "table") -> str:
    """The claims on each dataset, split and model, in a format of tables or as ``"json"``.

    Raises:
        UserError: for an unknown format.
    """
    return write_sheets(
        lambda: list(map(claim_sheet, groups)),
        format,
        json=lambda: json_text([claim_row(claim) for claims in groups for claim in claims]),
    )
