"""Verdicts on the claims, written out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from xaibench.leaderboard.claims.judge import Claim
from xaibench.leaderboard.claims.verdict import UNMEASURED, Test
from xaibench.leaderboard.export import json_text, plain
from xaibench.leaderboard.statistics.rank_tests import ALPHA
from xaibench.leaderboard.tables.formats import to_markdown, to_text, written
from xaibench.leaderboard.tables.numbers import EMPTY, Sheet, number, probability, with_interval

_RULE = (
    "Supported: the 95 % bootstrap interval over images lies wholly above the value in the column above, and p < .05 "
    "(Wilcoxon over images, after Holm over the {tests} of this table). Not supported: it lies wholly below, and p < "
    ".05. Undecided: otherwise, with fewer than 6 images, where an image lacks a number that it should have, or where "
    "the tests of a claim disagree. r: matched-pairs rank-biserial correlation (Kerby 2014)."
)


def claim_rows(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """One dictionary of plain types per claim, its tests in it; None where there is no number."""

    def line(test: Test) -> dict[str, Any]:
        return {k: plain(v) if isinstance(v, float) else v for k, v in dataclasses.asdict(test).items()}

    found = []
    for c in claims:
        names = [f.name for f in dataclasses.fields(c) if f.name not in ("name", "tests")]
        found.append({"claim": c.name, **{n: getattr(c, n) for n in names}, "tests": [line(t) for t in c.tests]})
    return found


def claim_sheet(claims: Sequence[Claim]) -> Sheet:
    """One line per test, the verdict on a claim with its first one; the sentences and the rule below."""
    about = claims[0]
    heads = ["claim", "method", "measure", "images", "mean", "above", "r", "p", "verdict"]
    lines = []
    for c in claims:
        for i, t in enumerate(c.tests):
            first = [c.name, c.method] if i == 0 else ["", ""]
            lines.append([*first, *_cells(t), c.verdict if i == 0 else ""])
    images = [t.images for c in claims for t in c.tests if t.images]
    made = len(images)
    notes = [f"({c.name}) {c.words}" for c in claims]
    notes += [f"({c.name}) What is missing is measured by `{c.command}`" for c in claims if c.command]
    notes.append(_RULE.format(tests=f"{made} test{'s' * (made != 1)}"))
    if images and made * 2 / 2 ** max(images) >= ALPHA:  # Holm's first step on the smallest p there is
        needed = math.floor(math.log2(2 * made / ALPHA)) + 1
        notes.append(f"No p of so many tests can fall below .05 with {max(images)} images or fewer: it takes {needed}.")
    left = frozenset(heads.index(h) for h in ("claim", "method", "measure", "verdict"))
    title = f"Claims · {about.dataset} {about.split} · {about.model}"
    return Sheet(title, heads, lines, [], [], notes, left=left)


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
    """The claims on each dataset, split and model, as ``"table"``, ``"markdown"`` or ``"json"``.

    Raises:
        UserError: for another format.
    """
    sheets = [claim_sheet(claims) for claims in groups]
    return written(
        format,
        table=lambda: "\n".join(to_text(s, width=120) for s in sheets),
        markdown=lambda: "\n".join(map(to_markdown, sheets)),
        json=lambda: json_text([line for claims in groups for line in claim_rows(claims)]),
    )
