"""The maps section: selected images by all methods, each map in one colour norm over its image."""

import math
from collections.abc import Sequence

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

BASE_SIDE, CONTOUR_SIDE = 512, 768  # px, long side of images and of contours
# Long side of a map, px, by the number of maps on the page, so that a page is small enough for an e-mail.
SIDES = ((120, 320), (260, 256), (400, 192), (700, 160), (math.inf, 112))
MAPS_SIZE = 7e6  # characters of all maps of a page


def side_for(maps: int) -> int:
    """Long side of a map, px, on a page with so many maps.

    Example:
        >>> side_for(84), side_for(500)
        (320, 160)
    """
    return next(side for most, side in SIDES if maps <= most)


class Pictures:
    """The images of a page, each embedded once.

    Attributes:
        store: the run's folder.
        rules: style rules with the images, one class per image.
    """

    def __init__(self, store: Store) -> None:
        self.rules: list[str] = []
        self.store = store
        self._pictures: dict[str, tuple[str, Picture | None]] = {}

    def of(self, record: Record) -> tuple[str, Picture | None]:
        """The class that shows a record's image, and the picture; "" and None if the run keeps none."""
        key = picture_key(record.case_digest, record.weights_digest)
        if key not in self._pictures:
            picture = load_picture(self.store, key)
            name = f"picture-{len(self._pictures)}" if picture is not None else ""
            self._pictures[key] = (name, picture)
            if picture is not None:
                self.rules += _rules(name, picture)
        return self._pictures[key]


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
    """The contour at a fixed resolution, so that its line is equally fine over images of any size."""
    return contour(resized(mask, CONTOUR_SIDE) >= 0.5) & (resized(vessels, CONTOUR_SIDE) < 0.5)


def grid(result: Result, cases: Sequence[Chosen], pictures: Pictures, count: int) -> dict[str, object]:
    """The grid of maps for the template.

    Args:
        result: the leaderboard with its records.
        cases: the images, in this order.
        pictures: collects the images.
        count: the number of maps on the whole page, which decides the size of each.

    Returns:
        ``cases``, ``rows`` (one per method: its ``row`` and ``maps``), ``any`` (whether there is a map) and ``missing``
        (whether the run keeps no picture of an image).
    """
    board = result.board
    shown = shown_methods(board)
    maps = [[_map(result, i, chosen, pictures, count) for chosen in cases] for i in range(len(board.rows))]
    rows = [
        {"row": row, "rest": row.method not in shown, "maps": of_row}
        for row, of_row in zip(board.rows, maps, strict=True)
    ]
    images = {c.case for c in cases}
    records = [r for r in result.records if r.status == "ok" and r.case in images]
    return {
        "cases": [{"case": c.case, "title": c.title, "value": _value(board, c.value)} for c in cases],
        "rows": rows,
        "any": any(m["source"] for of_row in maps for m in of_row),
        "missing": any(pictures.of(r)[1] is None for r in records),
    }


def _map(result: Result, row: int, chosen: Chosen, pictures: Pictures, count: int) -> dict[str, object]:
    board = result.board
    record = result.record(board.rows[row].method, chosen.case)
    attribution = pictures.store.load_map(record) if record is not None and record.status == "ok" else None
    if record is None or attribution is None:
        reason = "not computed" if record is None else f"{record.status}: {record.reason}" if record.reason else "lost"
        return {"source": "", "reason": reason}
    name, picture = pictures.of(record)
    if picture is not None and picture.fov.shape == attribution.shape:
        attribution = np.where(picture.fov, attribution, 0)
    small = smaller(attribution, side_for(count))
    height, width = small.shape
    score = math.nan
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
    return f"{main_stem(board.primary.label)} {number(value, bounded=board.primary.bounded)}"
