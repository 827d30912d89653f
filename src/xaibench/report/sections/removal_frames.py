"""The removal frames of a page: the image and the prediction step by step, as strips that a slider moves."""

from collections.abc import Sequence

import numpy as np

from xaibench.leaderboard.run_results import Result
from xaibench.leaderboard.tables.numbers import number
from xaibench.record import Record, Store
from xaibench.record.artefact_files import Film, film_key, load_film
from xaibench.report.html.data_uris import webp
from xaibench.report.selection import Chosen, film_methods

FILL, STEPS = "inpaint", 10  # of all removal frames
FIRST_SHARE = 0.1  # shown at first: enough is removed for methods to differ
FILMS_SIZE = 4e6  # characters of all strips of a page


def films(result: Result, store: Store, cases: Sequence[Chosen], boards: int = 1) -> dict[str, object] | None:
    """The strips for the template; None if the run has none.

    Args:
        result: the leaderboard with its records.
        store: the run's folder.
        cases: the images shown.
        boards: the number of leaderboards on the page, which share :data:`FILMS_SIZE`.

    Returns:
        ``steps``: shares removed, in words; ``first`` and ``last``: places of the slider; ``cases``: per image its
        ``films``.
    """
    methods = film_methods(result.board)
    size = FILMS_SIZE / (2 * boards * max(1, len(cases) * len(methods)))
    shares = np.zeros(0)
    rows = []
    for chosen in cases:
        strips = []
        for method in methods:
            record = result.record(method, chosen.case)
            film = load_film(store, film_key(record.map_key, FILL, STEPS)) if record is not None else None
            if film is not None:
                shares = film.shares
                strips.append({"method": method, **_strips(film, size)})
        if strips:
            rows.append({"case": chosen.case, "title": chosen.title, "films": strips})
    if not rows:
        return None
    first = int(np.argmin(np.abs(shares - FIRST_SHARE)))
    return {"cases": rows, "steps": [_percent(float(s)) for s in shares], "last": len(shares) - 1, "first": first}


def missing_films(store: Store, wanted: Sequence[Record]) -> bool:
    """Whether any of these records has no removal frames yet."""
    return any(not store.arrays_path("films", film_key(r.map_key, FILL, STEPS)).is_file() for r in wanted)


def _strips(film: Film, size: float) -> dict[str, object]:
    n, height, width = film.predictions.shape
    return {
        "picture": webp(np.concatenate(list(film.pictures), axis=1), size),
        "prediction": webp(np.repeat(np.concatenate(list(film.predictions), axis=1)[..., None], 3, -1), size),
        "frames": n,
        "ratio": f"{width}/{height}",
        "probability": [number(float(p)) for p in film.probability],
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"
