"""``questions.md``: the best method for each question, and which maps depend on the trained weights."""

from collections.abc import Collection, Mapping, Sequence

from networks import mean_by_method, published
from tables import CONTROLS, TARGETS

from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.summary.best_methods import FEW, answer
from xaibench.leaderboard.tables.numbers import number

GATE = "mprt"
TARGET_NAMES = {
    "vessels": "vessels",
    "thin": "thin vessels",
    "thick": "thick vessels",
    "false-positives": "false positives",
}


def split_by_gate(table: Leaderboard, name: str) -> tuple[dict[str, float], dict[str, float]]:
    """Means of a gate's column by method, controls left out: the methods that pass and those that fail, lowest first.

    Raises:
        ValueError: if the column was not measured or is no gate.
    """
    column = table.column(name)
    if column is None or column.gate is None:
        raise ValueError(f"{table.dataset} has no gate {name}.")
    means = sorted(mean_by_method(table, name).items(), key=lambda item: item[1])
    passing, failing = ({m: v for m, v in means if column.passes(v) is good} for good in (True, False))
    return passing, failing


def question_table(asked: Sequence[tuple[str, Leaderboard, str]], failing: Collection[str] = ()) -> list[str]:
    """The best methods for each question as a Markdown table.

    Args:
        asked: (question, table, column) of each row.
        failing: methods that fail the gate; they are marked with †.
    """
    heads = ["question", "column", "best", "value", "not distinguishable from it", *(f"*{c}*" for c in CONTROLS)]
    lines = [f"| {' | '.join(heads)} |", "| --- | --- | --- | --: | --- |" + " --: |" * len(CONTROLS)]
    for question, table, name in asked:
        column = table.column(name)
        result = answer(question, table, column) if column is not None else None
        if column is None or result is None:
            raise ValueError(f"No method has {name} on every image of {table.dataset}.")
        means = {r.method: float(m) for r, m in zip(table.rows, table.mean(column), strict=True) if r.control}
        levels = [number(means[c], bounded=column.bounded) if c in means else "" for c in CONTROLS]
        best, tied = (", ".join(f"{m}†" if m in failing else m for m in ms) for ms in (result.best, result.alike))
        tied = "too few images to test" if result.lead == FEW else tied or "none"
        lines.append(f"| {' | '.join([question, name, best, result.value, tied, *levels])} |")
    return lines


def _with_means(means: Mapping[str, float]) -> str:
    return ", ".join(f"{method} ({number(mean, bounded=True)})" for method, mean in means.items())


def page() -> str:
    """The text of ``questions.md``."""
    drive = {target: published("drive", target) for target in TARGETS}
    sanity, truth = published("drive-sanity"), published("phantom-truth")
    passing, failing = split_by_gate(sanity, GATE)
    asked = [
        *((f"What makes the network predict {TARGET_NAMES[target]}?", drive[target], "srg") for target in TARGETS),
        ("Where are the thin vessels that it predicts?", drive["thin"], "auroc-thin"),
        ("Where are the thick vessels that it predicts?", drive["thick"], "auroc-thick"),
        ("Are thin and thick vessels treated alike?", drive["vessels"], "thin-gap"),
        ("Are they treated alike at equal contrast?", drive["vessels"], "thin-gap-matched"),
        ("Does the map change with the target?", drive["vessels"], "target-sensitivity"),
        ("Is the map stable under small noise?", sanity, "max-sensitivity"),
        ("What is each region's exact share of the score?", truth, "shapley-error"),
        ("Does the network depend on something that is no vessel?", truth, "shortcut"),
    ]
    text = [
        "# Which method for which question?",
        "",
        "The best method by mean rank over images, its mean with 95 % interval, and the methods that cannot be "
        "distinguished from it (Friedman, then Wilcoxon with Holm, α = .05). The last two columns are controls: the "
        "prediction itself, whole and restricted to the target.",
        "",
        *question_table(asked, failing),
        "",
        f"† fails `{GATE}` (below): with random weights and the same target pixels, the map keeps much of its order. "
        "Methods that are not named below were not tested.",
        "",
        "## Which maps depend on the trained weights?",
        "",
        f"`{GATE}` is the mean rank correlation of a map with the maps of the network randomised from the top down. "
        f"Tested on {len(sanity.cases)} images of DRIVE with the U-Net: {len(passing) + len(failing)} rows of 50 "
        "passes or fewer.",
        "",
        f"* Pass: {_with_means(passing)}.",
        f"* Fail: {_with_means(failing)}.",
        "",
    ]
    return "\n".join(text)
