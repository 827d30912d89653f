"""A page made of what somebody else's folder holds: maps and pictures that fit nothing, and names that are markup.

A page takes a second, so there are fewer of them than of other inputs.
"""

import os
from html.parser import HTMLParser
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bad_input.judge import answer, folder
from bad_input.test_bad_runs import CELLS, FILM, PICTURE, RUN, arrays, cells, csvs, dumped, runs, write
from xaibench.errors import UserError
from xaibench.leaderboard.claims.judge import claims_on
from xaibench.leaderboard.run_results import read_results
from xaibench.plot import overlay
from xaibench.record import Store
from xaibench.record.artefact_files import Film, Picture, film_key, picture_key, write_film, write_picture
from xaibench.report.html.page import render
from xaibench.report.sections.removal_frames import FILL, STEPS
from xaibench.running.artefacts.segment_tables import FILES, _read

FEW = settings(max_examples=max(5, settings().max_examples // 20))
maps = st.one_of(
    st.builds(np.ones, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    st.just(np.full((5, 4), 3e38)),
    st.just(np.zeros((5, 4))),
    st.just(np.arange(20.0).reshape(5, 4)),
    arrays,
)


class Harmless(HTMLParser):
    """Refuses what a page that was made of text only cannot have."""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not any(name.startswith("onerror") for name, _ in attrs)


def fill(store: Store, maps: list[Any], whole: bool) -> None:
    for record, put in zip(CELLS, [*maps, *[None] * len(CELLS)], strict=False):
        key = record["map_key"]
        if isinstance(put, np.ndarray):
            store.write_arrays(
                "maps", key, {"map": put.clip(max=6e4).astype(np.float16), "scale": np.float64(put.max())}
            )
        elif put is not None:
            path = store.map_path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(put)
        if whole:
            write_picture(store, picture_key(record["case_digest"], record["weights_digest"]), Picture(**PICTURE))
            write_film(store, film_key(key, FILL, STEPS), Film(**FILM))


def page(store: Store) -> str:
    """The report on a run's folder."""
    damaged: list[tuple[str, str]] = []
    results = read_results([store], report=lambda path, reason: damaged.append((path.name, reason)))
    claims = claims_on([store], [r.board for r in results])
    return render(store, results, claims, damaged, "", "xaibench report")


@FEW
@given(cells, st.just(RUN) | runs, st.lists(maps, max_size=9), st.sampled_from([None] * 3) | csvs, st.booleans())
def test_a_report_of_any_folder(cells: list[Any], run: Any, maps: list[Any], csv: bytes | None, whole: bool) -> None:
    with folder() as place:
        store = write(place, cells, dumped(run), csv)
        fill(store, maps, whole)
        text = answer("report", lambda: page(store))
        if not isinstance(text, UserError):
            text.encode()
            Harmless().feed(text)


@FEW
@given(st.lists(maps, min_size=1, max_size=9))
def test_an_overlay_of_any_map(maps: list[Any]) -> None:
    from matplotlib import pyplot as plt

    with folder() as place:
        store = write(place, CELLS)
        fill(store, maps, True)
        for record, put in zip(CELLS, maps, strict=False):
            axes = answer("plot.overlay", lambda record=record: overlay(store, record["spec"], record["case"]))
            fits = isinstance(put, np.ndarray) and put.shape == PICTURE["fov"].shape
            assert axes.images if fits else isinstance(axes, UserError)
        plt.close("all")


SOUND = {"maps": {}, "segments": [], "components": []}
columns = st.dictionaries(st.sampled_from(["segment", "y", "dataset", "x\n"]), st.integers())
parts = st.dictionaries(st.sampled_from(sorted(SOUND)), st.none() | st.integers() | st.lists(columns))
rows = st.just(SOUND) | parts


@given(st.one_of(rows.map(dumped), st.binary(max_size=30), st.just(b"[" * 100_000)))
def test_the_rows_of_a_case_of_any_content(content: bytes) -> None:
    with folder({"rows.json": content}) as place:
        found = answer("tables", lambda: _read(place / "rows.json"))
        for part, (_, columns) in FILES.items():
            assert all(set(row) <= {*columns, *found.maps} for row in getattr(found, part))


def test_rows_that_are_a_pipe() -> None:
    with folder() as place:
        os.mkfifo(place / "rows.json")
        assert answer("tables", lambda: _read(place / "rows.json").maps) == {}


def test_a_sound_folder_has_a_page() -> None:
    with folder() as place:
        store = write(place, CELLS)
        fill(store, [np.arange(20.0).reshape(5, 4)] * 9, True)
        assert page(store).count('class="film"') and len(read_results([store])) == 1
