"""Films show what the metric deletion measured, and what can't be had is said."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from xaibench.data.case import Case
from xaibench.data.case_loader import load_cases
from xaibench.models.model_loader import load_model
from xaibench.record.artefact_files import film_key, load_film, load_picture, picture_key
from xaibench.record.schema import Record
from xaibench.record.store import Store
from xaibench.running.artefacts.removal_frames import SIDE, _small, film_of, make_films
from xaibench.running.events import Listener
from xaibench.running.request import Request
from xaibench.running.resolve import resolve
from xaibench.running.rng import generator_of
from xaibench.running.run import compute
from xaibench.scorer import Scorer, target

DATA = "phantom[size=128]"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run of the command line's kind, which no test may change."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    asked = Request(["gradcam"], data=DATA, cases=1, metrics=["deletion[steps=6]"], out=folder)
    compute(resolve(asked), "xaibench run …", Listener())
    return Store(folder)


@pytest.fixture(scope="module")
def case() -> Case:
    return load_cases(DATA, count=1)[0]


@pytest.fixture(scope="module")
def scorer(case: Case) -> Scorer:
    model = load_model("unet-phantom")
    return Scorer(model, target("vessels", model, case))


def of(store: Store, *specs: str) -> list[Record]:
    return [r for r in store.records() if r.spec in specs]


def copy(store: Store, to: Path, **changed: object) -> Store:
    shutil.copytree(store.root, to)
    asked = json.loads((to / "run.json").read_text()) | changed
    (to / "run.json").write_text(json.dumps({k: v for k, v in asked.items() if v != "absent"}))
    return Store(to)


def test_a_film_is_the_curve_that_deletion_measured(store: Store, tmp_path: Path) -> None:
    mine = copy(store, tmp_path / "run")
    (record,) = of(mine, "gradcam")
    seen: list[tuple[str, bool]] = []
    assert make_films(mine, [record], fill="inpaint", steps=6, report=lambda *film: seen.append(film)) == []
    film = load_film(mine, film_key(record.map_key, "inpaint", 6))
    assert film is not None and seen == [(f"gradcam on {record.case}", False)]
    (score,) = record.scores
    assert score.curve is not None
    assert np.allclose(film.shares, score.curve["x"])
    ends = film.probability[0], film.probability[-1]
    assert np.allclose((film.probability - ends[1]) / (ends[0] - ends[1]), score.curve["y"], atol=2e-5)
    assert film.pictures.shape == (7, 128, 128, 3) and film.predictions.shape == (7, 128, 128)


def test_the_first_frame_is_the_image_and_the_last_has_nothing_left(case: Case, scorer: Scorer) -> None:
    attribution = case.vessels.numpy().astype(np.float32)
    film = film_of(attribution, case, scorer, rng=np.random.default_rng(0), fill="blur", steps=4)
    image = (case.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    assert (film.pictures[0] == image).all()
    changed = [(film.pictures[k] != image).any(-1) for k in range(5)]
    assert [c.sum() for c in changed] == sorted(c.sum() for c in changed)
    assert not (changed[1] & ~case.vessels.numpy() & case.fov.numpy()).sum() > 0.146 * case.fov.sum()
    outside = ~case.fov.numpy()
    assert not changed[-1][outside].any()
    assert film.probability[0] == pytest.approx(float(scorer.probability(case.image[None])[0]), abs=1e-5)


def test_frames_of_large_images_are_made_smaller() -> None:
    big = torch.rand(1, 3, 600, 300)
    assert _small(big).shape == (1, 3, SIDE, SIDE // 2)


def test_a_film_that_is_there_needs_neither_data_nor_network(store: Store, tmp_path: Path) -> None:
    mine = copy(store, tmp_path / "run")
    (record,) = of(mine, "random")
    assert make_films(mine, [record], fill="mean", steps=2) == []
    blind = copy(mine, tmp_path / "blind", data="/nowhere/at/all")
    assert make_films(blind, [record], fill="mean", steps=2) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": "absent"}, "does not say where its images and network can be had"),
        ({"network": None}, "does not say where its images and network can be had"),
        ({"data": "./nowhere/at/all"}, "nowhere"),
        ({"network": "unet-drive"}, "the weights of unet-phantom are not those of the run any more"),
        ({"data": "phantom[size=136]"}, "phantom"),
    ],
)
def test_what_cannot_be_had_is_said(store: Store, tmp_path: Path, changed: dict[str, object], words: str) -> None:
    mine = copy(store, tmp_path / "run", **changed)
    (reason,) = make_films(mine, of(mine, "gradcam", "random"), fill="mean", steps=2)
    assert words in reason


def test_a_lost_map_is_said(store: Store, tmp_path: Path) -> None:
    mine = copy(store, tmp_path / "run")
    (record,) = of(mine, "gradcam")
    mine.map_path(record.map_key).unlink()
    assert make_films(mine, [record], fill="mean", steps=2) == [f"the map of gradcam on {record.case} is lost"]


def test_the_run_keeps_a_picture_of_each_case(store: Store, case: Case) -> None:
    (record,) = of(store, "gradcam")
    picture = load_picture(store, picture_key(case.digest, record.weights_digest))
    assert picture is not None and picture.image.dtype == np.uint8
    assert np.abs(picture.image / 255 - case.image.permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6
    for mine, theirs in ((picture.thin, case.thin), (picture.thick, case.thick), (picture.fov, case.fov)):
        assert (mine == theirs.numpy()).all()
    (shown,) = of(store, "prediction")
    assert np.abs(store.load_map(shown.map_key) - picture.prediction / 255)[picture.fov].max() < 0.01


def test_ties_are_ordered_as_in_the_metric(case: Case, scorer: Scorer) -> None:
    """A constant map has nothing but ties."""
    flat = [
        film_of(np.ones(case.fov.shape), case, scorer, rng=generator_of(0, case), fill="mean", steps=3).pictures
        for _ in range(2)
    ]
    assert (flat[0] == flat[1]).all()
