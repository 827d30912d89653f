"""``questions.md``: which method for which question, and which of them depend on what the network has learnt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from networks import board, means
from tables import CONTROLS, TARGETS

from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.summary.best_methods import FEW, answer
from xaibench.leaderboard.tables.numbers import number

GATE = "mprt"
WORDS = {"vessels": "vessels", "thin": "thin vessels", "thick": "thick vessels", "false-positives": "what is no vessel"}


def gated(table: Leaderboard, name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Mean of a gate's column by method that is no control: of those that pass, and of those that do not, lowest first.

    Raises:
        ValueError: if the column was not measured or is no gate.
    """
    column = table.column(name)
    if column is None or column.gate is None:
        raise ValueError(f"{table.dataset} has no gate {name}.")
    found = sorted(means(table, name).items(), key=lambda item: item[1])
    passing, failing = ({m: v for m, v in found if column.passes(v) is good} for good in (True, False))
    return passing, failing


def questions(asked: Sequence[tuple[str, Leaderboard, str]], failing: Collection[str] = ()) -> list[str]:
    """Which methods answer a question best, as a Markdown table: (question, table, column) each, † with who fails."""
    heads = ["question", "column", "first", "value", "not told apart from it", *(f"*{c}*" for c in CONTROLS)]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- | --: | --- |" + " --: |" * len(CONTROLS)]
    for question, table, name in asked:
        column = table.column(name)
        found = answer(question, table, column) if column is not None else None
        if column is None or found is None:
            raise ValueError(f"No method has {name} on every image of {table.dataset}.")
        known = {r.method: float(m) for r, m in zip(table.rows, table.mean(column), strict=True) if r.control}
        levels = [number(known[c], bounded=column.bounded) if c in known else "" for c in CONTROLS]
        best, others = (", ".join(f"{m}†" if m in failing else m for m in ms) for ms in (found.best, found.alike))
        alike = "too few images to tell" if found.told == FEW else others or "none"
        cells = [question, name, best, found.value, alike, *levels]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _with_means(found: Mapping[str, float]) -> str:
    return ", ".join(f"{method} ({number(mean, bounded=True)})" for method, mean in found.items())


def page() -> str:
    """``questions.md``: which method for which question."""
    drive = {target: board("drive", target) for target in TARGETS}
    sanity, truth = board("drive-sanity"), board("phantom-truth")
    passing, failing = gated(sanity, GATE)
    asked = [
        *((f"What makes the network see {WORDS[target]}?", drive[target], "srg") for target in TARGETS),
        ("Where are the thin vessels that it sees?", drive["thin"], "auroc-thin"),
        ("Where are the thick ones?", drive["thick"], "auroc-thick"),
        ("Are thin and thick vessels treated alike?", drive["vessels"], "thin-gap"),
        ("… where they have the same contrast?", drive["vessels"], "thin-gap-matched"),
        ("Does the map depend on what is asked?", drive["vessels"], "target-sensitivity"),
        ("Does it stay the same under a little noise?", sanity, "max-sensitivity"),
        ("What is each region's share, exactly?", truth, "shapley-error"),
        ("What does the network depend on that is no vessel?", truth, "shortcut"),
    ]
    text = [
        "# Which method for which question?",
        "",
        "First by mean rank over images, with its mean and 95 % interval, and the methods that cannot be told apart "
        "from it (Friedman, then Wilcoxon with Holm, α = .05). The prediction itself, which explains nothing, stands "
        "beside, whole and cut out where the target is.",
        "",
        *questions(asked, failing),
        "",
        f"† does not pass `{GATE}` (below): asked for the same pixels, the network gets maps that are ordered much "
        "alike when its weights are random. Methods that are not named there were not tested.",
        "",
        "## Which maps depend on what the network has learnt?",
        "",
        f"By `{GATE}`, the mean rank correlation of a map with those of the network randomised from the top down "
        f"({len(sanity.cases)} images of DRIVE, U-Net, the methods of few passes).",
        "",
        f"* Pass: {_with_means(passing)}.",
        f"* Do not pass: {_with_means(failing)}.",
        "",
    ]
    return "\n".join(text)
