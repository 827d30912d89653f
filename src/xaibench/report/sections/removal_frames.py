"""Films as a page shows them: all frames in one strip, of which a slider shows one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaibench.leaderboard.run_results import Result
from xaibench.leaderboard.tables.numbers import number
from xaibench.record import Record, Store
from xaibench.record.artefact_files import Film, film_key, load_film
from xaibench.report.html.data_uris import webp
from xaibench.report.selection import Chosen, film_methods

FILL, STEPS = "inpaint", 10  # of every film
FIRST_SHARE = 0.1
FILMS_SIZE = 4e6  # characters that all films of a page should take together


def films(result: Result, store: Store, cases: list[Chosen], boards: int = 1) -> dict[str, Any] | None:
    """What the template needs: ``steps`` in words, and ``cases`` with the films of each; None if there is no film.

    Args:
        result: whose.
        store: where the films are.
        cases: which are shown.
        boards: how many leaderboards the page has, which share the room that there is for films.
    """
    chosen_methods = film_methods(result.board)
    most = FILMS_SIZE / (2 * boards * max(1, len(cases) * len(chosen_methods)))
    shares: np.ndarray | None = None
    rows = []
    for chosen in cases:
        found = []
        for method in chosen_methods:
            record = result.record(method, chosen.case)
            film = load_film(store, film_key(record.map_key, FILL, STEPS)) if record is not None else None
            if film is not None:
                shares = film.shares
                found.append({"method": method, **_strips(film, most)})
        if found:
            rows.append({"case": chosen.case, "title": chosen.title, "films": found})
    if shares is None:
        return None
    # What a slider shows at first: enough removed for methods to differ.
    first = int(np.argmin(np.abs(shares - FIRST_SHARE)))
    return {"cases": rows, "steps": [_percent(float(s)) for s in shares], "last": len(shares) - 1, "first": first}


def missing_films(store: Store, wanted: Sequence[Record]) -> bool:
    """Whether any of these records has no film yet."""
    return any(not store.arrays_path("films", film_key(r.map_key, FILL, STEPS)).is_file() for r in wanted)


def _strips(film: Film, most: float) -> dict[str, Any]:
    n, height, width = film.predictions.shape
    return {
        "picture": webp(np.concatenate(list(film.pictures), axis=1), most),
        "prediction": webp(np.repeat(np.concatenate(list(film.predictions), axis=1)[..., None], 3, -1), most),
        "frames": n,
        "ratio": f"{width}/{height}",
        "probability": [number(float(p)) for p in film.probability],
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
