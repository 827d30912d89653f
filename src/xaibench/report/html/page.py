"""The report page: the sections of a run, put into the templates."""

from collections.abc import Sequence
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from xaibench.leaderboard.claims.judge import Claim
from xaibench.leaderboard.claims.verdict import AGAINST, SUPPORTED
from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.run_results import Result, losses
from xaibench.leaderboard.summary.best_methods import ALONE, BETTER, FEW, REAL, UNTOLD, WORSE, answers, verdict
from xaibench.leaderboard.tables.claims_table import claim_sheet
from xaibench.leaderboard.tables.leaderboard_table import subject
from xaibench.record import Store
from xaibench.report.html.data_uris import webp
from xaibench.report.overlay import PERCENTILE, colour_bar
from xaibench.report.sections.figure_panels import PANELS, removal_panel
from xaibench.report.sections.map_grid import Pictures, grid, side_for
from xaibench.report.sections.provenance import provenance
from xaibench.report.sections.removal_frames import FILL, films
from xaibench.report.sections.table import table
from xaibench.report.selection import CASES_RULE, FILM_METHODS, FILMS_RULE, chosen_cases

# Per verdict, the sign and the words of a comparison, since no colour alone carries it, and of a lead the card's class.
_LEADS = {
    REAL: ("✓", "the lead is real", "yes"),
    UNTOLD: ("≈", "the lead could be chance", "no"),
    FEW: ("?", "too few images to tell", "open"),
    ALONE: ("?", "Nothing to compare it with", "open"),
}
_CONTROLS = {
    BETTER: ("✓", "Better than"),
    WORSE: ("✗", "Worse than"),
    UNTOLD: ("≈", "Not told apart from"),
    FEW: ("?", "One image cannot tell it from"),
}
_CLAIM_SIGNS = {SUPPORTED: "✓", AGAINST: "✗", "better": "✓", "worse": "✗"}


def render(
    store: Store,
    results: Sequence[Result],
    claims: Sequence[Sequence[Claim]],
    damaged: Sequence[tuple[str, str]] = (),
    without_films: str = "",
    command: str = "",
) -> str:
    """The page as HTML, in one file without links to others.

    Args:
        store: the run's folder.
        results: its leaderboards with their records.
        claims: the founding paper's claims on each dataset, split and model.
        damaged: files that were left out, each with the reason; maps are added while the page is made.
        without_films: why removal frames are missing, if they are.
        command: the command that made the report.
    """
    environment = Environment(
        loader=PackageLoader("xaibench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": breakable, "stem": main_stem, "verdict": verdict}
    pictures = Pictures(store)
    groups = [list(group) for _, group in groupby(results, key=lambda result: result.board.key[:4])]
    count = sum(len(chosen_cases(r.board)) * len(r.board.rows) for r in results)
    panels = [_panel(i, results, pictures, count, several=len(groups) > 1) for i in range(len(results))]
    return environment.get_template("report.html").render(
        title=store.root.resolve().name,
        heads=[(group[0].board, answers([r.board for r in group])) for group in groups],
        leads=_LEADS,
        controls=_CONTROLS,
        panels=panels,
        rules=Markup("\n".join(pictures.rules)),  # holds class names and base64 alone
        bars=[webp(colour_bar(signed, 256)[None].repeat(12, 0)) for signed in (False, True)],
        percentile=f"{PERCENTILE:g}",
        side=side_for(count),
        films_rule=FILMS_RULE.format(most=FILM_METHODS),
        film_fill=FILL,
        claims=[(group, claim_sheet(group)) for group in claims if group],
        claim_signs=_CLAIM_SIGNS,
        losses=losses([r for result in results for r in result.records]),
        damaged=damaged,
        without_films=without_films,
        unreached=[(p["about"], p["unreached"]) for p in panels if p["unreached"]],
        provenance=provenance(store.read_run(), results, store.root, command),
    )


def _panel(i: int, results: Sequence[Result], pictures: Pictures, count: int, *, several: bool) -> dict[str, object]:
    """All sections of one leaderboard; ``several``: the page has leaderboards of several datasets or networks."""
    result = results[i]
    board = result.board
    cases = chosen_cases(board)
    figures = [(f"p{i}{make.__name__.replace('_', '')}", make(result)) for make in PANELS]
    missing = ((m, case, reason) for m, gaps in board.gaps.items() for case, reason in gaps)
    return {
        "name": f"{board.target} · {board.dataset} {board.split}, {board.model}" if several else board.target,
        "about": subject(board),
        "rule": CASES_RULE.format(column=main_stem(board.primary.label)) if board.primary else "The first images.",
        "table": table(board),
        "grid": grid(result, cases, pictures, count),
        "curves": (f"p{i}removal", removal_panel(result)),
        "films": films(result, pictures.store, cases, len(results)),
        "figures": [(name, figure) for name, figure in figures if figure is not None],
        "unreached": [f"{m} on {case}" for m, case, reason in missing if reason == "not computed"],
    }


def breakable(name: str) -> Markup:
    """A name that browsers may break before its parameters and between them."""
    return Markup(str(escape(name)).replace("[", "<wbr>[").replace(",", ",<wbr>"))
