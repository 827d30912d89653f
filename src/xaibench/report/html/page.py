"""A run as one page: what the leaderboards say, put into the templates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from xaibench.report.sections.figure_panels import PLATES, removal_plate, response_plate
from xaibench.report.sections.maps import Pictures, grid, side_for
from xaibench.report.sections.provenance import provenance
from xaibench.report.sections.removal_frames import FILL, STEPS, films
from xaibench.report.sections.table import table
from xaibench.report.selection import CASES_RULE, FILM_METHODS, FILMS_RULE, chosen_cases

# What a card says of a comparison, and the sign beside it, which no colour alone carries.
_LEADS = {
    REAL: ("✓", "the lead is real"),
    UNTOLD: ("≈", "the lead could be chance"),
    FEW: ("?", "too few images to tell"),
}
_CONTROLS = {
    BETTER: ("✓", "Better than"),
    WORSE: ("✗", "Worse than"),
    UNTOLD: ("≈", "Not told apart from"),
    FEW: ("?", "On one image, nothing can be said against"),
}


@dataclass(frozen=True)
class Source:
    """What a report is made of.

    Attributes:
        store: the run's folder.
        results: its leaderboards with their records.
        claims: the founding paper's claims on each dataset, split and model.
        damaged: files that were left out, each with the reason.
        without_films: why there are no films where there are none.
        command: what was typed to make the report.
    """

    store: Store
    results: Sequence[Result]
    claims: Sequence[Sequence[Claim]]
    damaged: Sequence[tuple[str, str]] = ()
    without_films: str = ""
    command: str = ""


def render(source: Source) -> str:
    """The page, in one file that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("xaibench.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = breakable
    return environment.get_template("report.html").render(_content(source))


def _content(source: Source) -> dict[str, Any]:
    run = source.store.read_run()
    pictures = Pictures(source.store)
    count = sum(len(chosen_cases(r.board)) * len(r.board.rows) for r in source.results)
    panels = [_panel(r, i, source, pictures, count) for i, r in enumerate(source.results)]
    return {
        "title": source.store.shown.resolve().name,
        "heads": _verdicts(source.results),
        "panels": panels,
        "rules": Markup("\n".join(pictures.rules)),  # class names and base64 alone
        "bars": [_bar(False), _bar(True)],
        "percentile": f"{PERCENTILE:g}",
        "side": side_for(count),
        "films_rule": FILMS_RULE.format(most=FILM_METHODS),
        "film_fill": FILL,
        "film_steps": STEPS,
        "without_films": source.without_films,
        "claims": [([_claim(c) for c in group], claim_sheet(group)) for group in source.claims if group],
        "losses": losses([r for result in source.results for r in result.records]),
        "damaged": source.damaged,
        "unreached": [(p["about"], p["unreached"]) for p in panels if p["unreached"]],
        "provenance": provenance(run, source.results, source.store.shown, source.command),
    }


def _panel(result: Result, i: int, source: Source, pictures: Pictures, count: int) -> dict[str, Any]:
    board = result.board
    cases = chosen_cases(board)
    several = len({(r.board.dataset, r.board.split, r.board.model, r.board.weights_digest) for r in source.results}) > 1
    plates = [make(board, f"p{i}{make.__name__.replace('_', '')}") for make in PLATES]
    return {
        "name": f"{board.target} · {board.dataset} {board.split}, {board.model}" if several else board.target,
        "target": board.target,
        "about": subject(board),
        "rule": CASES_RULE.format(column=main_stem(board.primary.name)) if board.primary else "The first images.",
        "table": table(board),
        "grid": grid(result, source.store, cases, pictures, count),
        "curves": _marked(removal_plate(result, f"p{i}removal")),
        "films": films(result, source.store, cases, len(source.results)),
        "plates": [_marked(p) for p in (response_plate(result, f"p{i}response"), *plates) if p],
        "unreached": [
            f"{m} on {case}" for m, gaps in board.gaps.items() for case, why in gaps if why == "not computed"
        ],
    }


def _marked(plate: dict[str, Any] | None) -> dict[str, Any] | None:
    """The plate with its drawing marked as markup, whose texts matplotlib has escaped."""
    return None if plate is None else plate | {"svg": Markup(plate["svg"])}


def _verdicts(results: Sequence[Result]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for r in results:
        groups[r.board.dataset, r.board.split, r.board.model, r.board.weights_digest].append(r)
    heads = []
    for group in groups.values():
        found = answers([r.board for r in group])
        cards = []
        for a in found:
            against = [] if a.next is None else [(*_LEADS[a.lead], a.next, True)]
            against += [(*_CONTROLS[c.verdict], c, False) for c in a.controls]
            kind = {REAL: "yes", UNTOLD: "no"}.get(a.lead, "open")
            head = f"{'Best' if a.lead in (REAL, ALONE) else 'First'} {'on' if a.is_overlap else 'for'}"
            cards.append(
                {"head": head, "column": main_stem(a.column.name), "kind": kind, "answer": a, "against": against}
            )
        board = group[0].board
        heads.append(
            {
                "about": f"{board.dataset} {board.split} · network {board.model}",
                "images": len(board.cases),
                "methods": sum(not r.control for r in board.rows),
                "sentences": verdict(found),
                "cards": cards,
            }
        )
    return heads


def _claim(c: Claim) -> dict[str, str]:
    """The claim, and what follows its verdict in the sentence on it."""
    found = c.words.removeprefix(f"{c.statement}: {c.verdict}").lstrip(";, ")
    sign = {SUPPORTED: "✓", AGAINST: "✗", "better": "✓", "worse": "✗"}.get(c.verdict, "?")
    kept = {n: getattr(c, n) for n in ("name", "statement", "verdict", "command")}
    return kept | {"found": found, "sign": sign}


def breakable(name: str) -> Markup:
    """A name that may be broken before its parameters and between them."""
    return Markup(str(escape(name)).replace("[", "<wbr>[").replace(",", ",<wbr>"))


def _bar(signed: bool) -> str:
    return webp(colour_bar(signed, 256)[None].repeat(12, 0))
