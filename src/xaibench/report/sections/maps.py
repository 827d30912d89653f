"""Maps over images: some cases by every method, in one colour norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xaibench.leaderboard.default_columns import main_stem
from xaibench.leaderboard.leaderboard import Leaderboard
from xaibench.leaderboard.run_results import Result
from xaibench.leaderboard.tables.numbers import number
from xaibench.record import Record, Store
from xaibench.record.artefact_files import Picture, load_picture, picture_key
from xaibench.report.html.data_uris import jpeg, resized, smaller, stencil, webp
from xaibench.report.overlay import THICK, THIN, contour, heat, limit_of, red_free
from xaibench.report.selection import Chosen, shown_methods

BASE_SIDE, CONTOUR_SIDE = 512, 768
# Side of a map by how many there are in all, so that a page stays small enough to be mailed.
SIDES = ((120, 320), (260, 256), (400, 192), (700, 160), (math.inf, 112))
MAPS_SIZE = 7e6  # characters that all maps of a page should take together


def side_for(maps: int) -> int:
    """Long side of a map in px where so many are shown.

    Example:
        >>> side_for(84), side_for(500)
        (320, 160)
    """
    return next(side for most, side in SIDES if maps <= most)


class Pictures:
    """The images of a page, each embedded once however often it is shown; their style rules are in ``rules``."""

    def __init__(self, store: Store) -> None:
        self.rules: list[str] = []
        self._store = store
        self._known: dict[str, tuple[str, Picture | None]] = {}

    def of(self, record: Record) -> tuple[str, Picture | None]:
        """The class that shows the record's image, and the picture; "" and None where the run keeps none."""
        key = picture_key(record.case_digest, record.weights_digest)
        if key not in self._known:
            picture = load_picture(self._store, key)
            name = f"picture-{len(self._known)}" if picture is not None else ""
            self._known[key] = (name, picture)
            if picture is not None:
                self.rules += _rules(name, picture)
        return self._known[key]


def _rules(name: str, p: Picture) -> list[str]:
    image = smaller(p.image, BASE_SIDE)
    layers = {
        "red-free": jpeg(red_free(image)[..., 0]),
        "image": jpeg(image),
        "prediction": jpeg(smaller(p.prediction * p.fov.astype(np.uint8), BASE_SIDE)),
        "thin": stencil(_contour(p.thin, p.vessels), THIN),
        "thick": stencil(_contour(p.thick, p.vessels), THICK),
    }
    height, width = p.image.shape[:2]
    return [f".{name}{{--ratio:{width}/{height}}}"] + [
        f".{name} .{layer}{{background-image:url({uri})}}" for layer, uri in layers.items()
    ]


def _contour(mask: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """The contour on a grid of its own, so that its line is equally fine over images of any size."""
    return contour(resized(mask, CONTOUR_SIDE) >= 0.5) & (resized(vessels, CONTOUR_SIDE) < 0.5)


def grid(result: Result, store: Store, cases: list[Chosen], pictures: Pictures, count: int) -> dict[str, Any]:
    """What the template needs: ``cases``, ``rows``, and whether there is ``any`` map and a picture is ``missing``.

    Args:
        result: whose records say which map is whose.
        store: where the maps are.
        cases: which are shown, in this order.
        pictures: collects the images.
        count: of the maps of the whole page, which decides how large each is.
    """
    board = result.board
    rows: list[dict[str, Any]] = []
    shown = shown_methods(board)
    for i, row in enumerate(board.rows):
        maps = [_map(result, store, row.method, i, chosen, pictures, count) for chosen in cases]
        about = {"method": row.method, "control": row.control, "rank": row.rank, "rest": row.method not in shown}
        rows.append(about | {"maps": maps})
    records = [r for r in result.records if r.status == "ok"]
    return {
        "cases": [{"case": c.case, "title": c.title, "value": _value(board, c.value)} for c in cases],
        "rows": rows,
        "any": any(m["source"] for row in rows for m in row["maps"]),
        "missing": any(pictures.of(r)[1] is None for r in records if r.case in {c.case for c in cases}),
    }


def _map(
    result: Result, store: Store, method: str, row: int, chosen: Chosen, pictures: Pictures, count: int
) -> dict[str, Any]:
    board = result.board
    record = result.record(method, chosen.case)
    attribution = store.load_map(record) if record is not None and record.status == "ok" else None
    if record is None or attribution is None:
        reason = "not computed" if record is None else f"{record.status}: {record.reason}" if record.reason else "lost"
        return {"source": "", "reason": reason}
    name, picture = pictures.of(record)
    if picture is not None and picture.fov.shape == attribution.shape:
        attribution = np.where(picture.fov, attribution, 0)
    small = smaller(attribution, side_for(count))
    height, width = small.shape
    score = float("nan")
    if board.primary is not None:
        score = float(board.scores(board.primary)[row][board.cases.index(chosen.case)])
    return {
        "source": webp(heat(small, signed=record.signed, limit=limit_of(small, record.signed)), MAPS_SIZE / count),
        "picture": name,
        "ratio": f"{width}/{height}",
        "score": _value(board, score),
        "signed": record.signed,
        "reason": "",
    }


def _value(board: Leaderboard, value: float) -> str:
    if board.primary is None or math.isnan(value):
        return ""
    return f"{main_stem(board.primary.name)} {number(value, bounded=board.primary.bounded)}"
