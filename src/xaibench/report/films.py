"""Films as a page shows them: all frames in one strip, of which a slider shows one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaibench.leaderboard.results import Result
from xaibench.leaderboard.text import number
from xaibench.record import Record, Store
from xaibench.record.pictures import Film, film_key, load_film
from xaibench.report.choice import Chosen, film_methods
from xaibench.report.images import webp

FILL, STEPS = "inpaint", 10  # of every film
FIRST_SHARE = 0.1


def films(result: Result, store: Store, cases: list[Chosen]) -> dict[str, Any] | None:
    """What the template needs: ``steps`` in words, and ``cases`` with the films of each; None if there is no film."""
    shares: np.ndarray | None = None
    rows = []
    for chosen in cases:
        found = []
        for method in film_methods(result.board):
            record = result.record(method, chosen.case)
            film = load_film(store, film_key(record.map_key, FILL, STEPS)) if record is not None else None
            if film is not None:
                shares = film.shares
                found.append({"method": method, **_strips(film)})
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


def _strips(film: Film) -> dict[str, Any]:
    n, height, width = film.predictions.shape
    return {
        "picture": webp(np.concatenate(list(film.pictures), axis=1)),
        "prediction": webp(np.repeat(np.concatenate(list(film.predictions), axis=1)[..., None], 3, -1)),
        "frames": n,
        "ratio": f"{width}/{height}",
        "probability": [number(float(p)) for p in film.probability],
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
