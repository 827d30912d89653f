"""``agreement.md``: agreement of rankings between networks, datasets, fills and targets; methods against controls."""

from collections.abc import Iterable, Mapping, Sequence

from networks import NAMES, mean_by_method, published
from scipy.stats import kendalltau
from tables import BLURRED, CONTROLS, TARGETS

from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.summary.best_methods import BETTER, FEW, UNTOLD, WORSE, difference
from xaibench.running.plan import FEW_STEPS
from xaibench.running.plan import FILLS as OTHER_FILLS

FILLS = ("srg", *(f"srg[fill={fill},steps={FEW_STEPS}]" for fill in OTHER_FILLS))
_MARKS = {BETTER: "+", WORSE: "−", UNTOLD: "=", FEW: "–"}


def kendall_table(rankings: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Kendall's τ between all pairs of rankings, each over their common methods, as a Markdown table."""
    lines = [
        "| | " + " | ".join(rankings) + " | best | methods |",
        "| --- |" + " --: |" * len(rankings) + " --- | --: |",
    ]
    for name, ranking in rankings.items():
        cells = []
        for other_name, other in rankings.items():
            common = sorted(ranking.keys() & other.keys())
            tau = kendalltau([ranking[m] for m in common], [other[m] for m in common]).statistic
            cells.append("" if name == other_name else f"{tau:.2f}")
        best = max(ranking, key=ranking.__getitem__)
        lines.append(f"| {name} | {' | '.join(cells)} | {best} | {len(ranking)} |")
    return lines


def control_table(table: Leaderboard, columns: Sequence[str], controls: Sequence[str]) -> list[str]:
    """Each method against each control, by column, as a Markdown table.

    ``+`` is better, ``−`` worse, ``=`` undecided, by the 95 % bootstrap interval of the paired difference over images;
    ``–`` means that a score is missing.

    Raises:
        ValueError: if a column was not measured.
    """
    names = [row.method for row in table.rows]
    measured = [column for column in map(table.column, columns) if column is not None]
    if len(measured) < len(columns):
        raise ValueError(f"{table.dataset} lacks one of {', '.join(columns)}.")
    heads = [f"{control}: {column.name}" for control in controls for column in measured]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " :-: |" * len(heads)]
    for i, row in enumerate(table.rows):
        if not row.control:
            leads = [difference(table, c, i, names.index(control)) for control in controls for c in measured]
            marks = [_MARKS[lead.verdict] for lead in leads]
            lines.append(f"| {row.method} | " + " | ".join(marks) + " |")
    return lines


def _sections(bodies: Iterable[tuple[str, list[str]]]) -> list[str]:
    return [line for title, body in bodies for line in (f"### {title}", "", *body, "")]


def page() -> str:
    """The text of ``agreement.md``."""
    tables = {name: published(name) for name in NAMES}
    drive = tables["drive"]
    by_target = {target: drive if target == "vessels" else published("drive", target) for target in TARGETS}
    with_blur = {name: table for name, table in tables.items() if table.column(BLURRED) is not None}
    against = ("prediction", "frangi")
    text = [
        "# Is the best method best everywhere?",
        "",
        "Kendall's τ between rankings by mean `srg`, over the methods that two tables share: 1 is the same order, "
        "0 is no agreement.",
        "",
        "## Across networks and data (target vessels)",
        "",
        *kendall_table({name: mean_by_method(table, "srg") for name, table in tables.items()}),
        "",
        f"With the blur fill instead of inpainting (`{BLURRED}`), where measured:",
        "",
        *kendall_table({name: mean_by_method(table, BLURRED) for name, table in with_blur.items()}),
        "",
        "Each method against the controls: better (+), worse (−) or undecided (=), by the 95 % interval of the paired "
        "difference.",
        "",
        *_sections(
            (name, control_table(table, [c for c in FILLS if table.column(c) is not None], against))
            for name, table in tables.items()
            if table is not drive
        ),
        "## Across fills (DRIVE, U-Net, target vessels)",
        "",
        *kendall_table({fill: mean_by_method(drive, fill) for fill in FILLS}),
        "",
        "Each method against the controls, as above:",
        "",
        *control_table(drive, FILLS, (*against, "green-contrast")),
        "",
        "## Across targets (DRIVE, U-Net)",
        "",
        *kendall_table({target: mean_by_method(table, "srg") for target, table in by_target.items()}),
        "",
        "Each method against the controls, as above, by target:",
        "",
        *_sections(
            (target, control_table(table, ["srg"], (*CONTROLS, "frangi"))) for target, table in by_target.items()
        ),
    ]
    return "\n".join(text)
