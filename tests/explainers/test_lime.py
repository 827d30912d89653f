from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from lime import lime_image
from made_up import GreenFilter, target_on
from torch import Tensor, nn

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.errors import UserError
from xaibench.explainers import lime as room
from xaibench.explainers.explain import explain
from xaibench.explainers.lime import lime
from xaibench.registry import Spec
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine
from xaibench.scorer.coalition_game import Game, region_game


def few(**parameters: object) -> Spec:
    return Spec(lime, tuple(({"segments": 10, "samples": 60} | parameters).items()))


def region_sums(map_: Tensor, labels: np.ndarray) -> np.ndarray:
    return np.bincount(labels.ravel(), map_.double().numpy().ravel())


def ridge(present: np.ndarray, values: np.ndarray) -> np.ndarray:
    """argmin Σ π(z) (v(z) - a - wz)² + |w|², π = exp(-d² / 2σ²), d = 1 - cos(z, 1), σ = .25 (Ribeiro 2016, eq. 2)."""
    n = present.shape[1]
    norm = np.sqrt(present.sum(1) * n)
    distance = 1 - np.divide(present.sum(1), norm, out=np.zeros(len(present)), where=norm > 0)
    weight = np.exp(-(distance**2) / (2 * 0.25**2))
    x, y = present - np.average(present, 0, weight), values - np.average(values, weights=weight)
    solution: np.ndarray = np.linalg.solve(x.T @ (weight[:, None] * x) + np.eye(n), x.T @ (weight * y))
    return solution


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """The coalitions that lime asked for, with their scores."""
    kept = []

    def watched(*arguments: object) -> tuple[np.ndarray, int, Game]:
        labels, count, value = region_game(*arguments)  # type: ignore[arg-type]

        def keeping(coalitions: np.ndarray) -> np.ndarray:
            kept.append((coalitions, value(coalitions)))
            return kept[-1][1]

        return labels, count, keeping

    monkeypatch.setattr(room, "region_game", watched)
    return kept


@pytest.mark.parametrize("regions", ["slic", "tiles"])
def test_it_is_the_weighted_ridge_regression(
    regions: str, plain: nn.Module, eye: Case, asked: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    map_ = explain(Scorer(plain, target_on(eye)), eye.image, method=few(regions=regions))
    ((present, values),) = asked
    labels = superpixels(eye.image, eye.fov, 10, regions)
    assert present.shape == (60, labels.max() + 1) and (present[0] == 1).all()
    assert set(np.unique(present)) == {0, 1} and 0.4 < present[1:].mean() < 0.6
    expected = ridge(present, values)
    np.testing.assert_allclose(region_sums(map_, labels), expected, atol=1e-4 * np.abs(expected).max())
    assert map_[~eye.fov].abs().max() == 0


def test_regions_as_pixels_are_what_lime_makes_of_the_whole_picture(
    plain: nn.Module, eye: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library as its users call it, which draws its bar here."""
    scorer, labels = Scorer(plain, target_on(eye)), superpixels(eye.image, eye.fov, 10)
    ours = lime.function(scorer, eye.image, rng=np.random.default_rng(3), segments=10, samples=40)
    theirs = lime_image.LimeImageExplainer(random_state=int(np.random.default_rng(3).integers(2**31)))
    explanation = theirs.explain_instance(
        eye.image.permute(1, 2, 0).numpy(),
        lambda pictures: scorer(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()[:, None],
        labels=(0,),
        top_labels=None,
        hide_color=reference_image("blur", eye.image, eye.fov, eye.scale).permute(1, 2, 0).numpy(),
        num_samples=40,
        segmentation_fn=lambda picture: labels,
    )
    assert "40/40" in capfd.readouterr().err
    weights = dict(explanation.local_exp[0])
    expected = np.array([weights[i] for i in range(len(weights))])
    np.testing.assert_allclose(region_sums(ours, labels), expected, atol=1e-4 * np.abs(expected).max())


def test_of_a_linear_score_the_weights_are_the_regions_sums(eye: Case) -> None:
    """Σ w (x - x₀) over the pixels of each region, shrunk by the penalty the less the more samples there are."""
    scorer = Scorer(GreenFilter(), target_on(eye))
    pixels = (
        -20.0
        * eye.vessels
        / eye.vessels.sum()
        * (eye.image - reference_image("blur", eye.image, eye.fov, eye.scale))[1]
    )
    labels = superpixels(eye.image, eye.fov, 10)
    expected = region_sums(pixels, labels)
    shrunk = [
        float(region_sums(explain(scorer, eye.image, method=few(samples=n)), labels) @ expected / (expected @ expected))
        for n in (60, 300, 1500)
    ]
    assert 0.7 < shrunk[0] < shrunk[1] < shrunk[2] < 1
    assert shrunk[2] == pytest.approx(1 - 4 / (1500 * 0.5), abs=0.003)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_place_that_is_read_stands_out(sign: int, eye: Case) -> None:
    place = torch.zeros_like(eye.fov)
    place[34:48, 30:35] = True  # on a thick vessel, darker than its blur

    class Reader(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return sign * 9 * torch.tanh(0.5 - images[:, 1:2]) * place

    scorer = Scorer(Reader(), target_on(eye))
    map_ = sign * explain(scorer, eye.image, method=few(segments=30, samples=200))
    assert map_[place].max() == map_.max()
    assert float(map_[place].mean()) > 5 * float(map_[~place & eye.fov].abs().mean())


def test_a_vessel_hidden_by_its_own_mean_colour_would_still_be_there(eye: Case) -> None:
    """Why a baseline hides: with lime's default most of the evidence is never removed."""
    scorer, labels = Scorer(GreenFilter(), target_on(eye)), superpixels(eye.image, eye.fov, 100)
    means = np.stack([[eye.image[c].numpy()[labels == i].mean() for i in range(labels.max() + 1)] for c in range(3)])
    by_means = torch.from_numpy(means.astype(np.float32)[:, labels])
    by_blur = reference_image("mean", eye.image, eye.fov, eye.scale)
    left = [float(scorer(picture[None]) - scorer(by_blur[None])) for picture in (eye.image, by_means)]
    assert left[1] > 0.7 * left[0] > 0


class Pointwise(nn.Module):
    """Rounds alike in every batch, as the engine makes sure of a real network."""

    def forward(self, images: Tensor) -> Tensor:
        green = images[:, 1:2]
        return 9 * green * green - 4 * green


def test_a_seed_decides_the_map_whatever_the_micro_batch(eye: Case) -> None:
    def map_(engine: Engine | None, seed: int = 5) -> Tensor:
        return explain(Scorer(Pointwise(), target_on(eye), engine=engine), eye.image, method=few(), seed=seed)

    first = map_(Engine(1))
    assert all(torch.equal(first, map_(engine)) for engine in (Engine(1), Engine(3), Engine(8), None))
    assert first.std() > 0 and not torch.equal(first, map_(Engine(1), seed=6))


def test_each_sample_costs_a_pass(scorer: Scorer, eye: Case) -> None:
    explain(scorer, eye.image, method=few(segments=30, samples=25))
    assert scorer.passes == 25


class Failing(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("no")


def test_nothing_is_printed_warned_of_or_left_behind(
    plain: nn.Module, eye: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    plain.train()
    image, state, bar = eye.image.clone(), np.random.get_state()[1].copy(), lime_image.tqdm  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for model in (plain, Failing()):
            scorer = Scorer(model, target_on(eye), engine=Engine())
            try:
                lime.function(scorer, image, rng=np.random.default_rng(0), segments=10, samples=20)
            except RuntimeError:
                assert isinstance(model, Failing)
    assert capfd.readouterr() == ("", "") and lime_image.tqdm is bar
    assert all(m.training for m in plain.modules()) and torch.equal(image, eye.image)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_a_constant_image_gives_next_to_nothing(scorer: Scorer, eye: Case) -> None:
    grey = torch.where(eye.fov, torch.full_like(eye.image, 0.4), 0.0)
    assert explain(scorer, grey, method=few()).abs().sum() < 1e-4


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_field_of_view_of_fewer_pixels_than_segments(side: int, plain: nn.Module, eye: Case) -> None:
    fov = torch.zeros_like(eye.fov)
    fov[30 : 30 + side, 40 : 40 + side] = True
    map_ = explain(
        Scorer(plain, Target("small", fov, fov, fov.float())), eye.image, method=few(segments=50, baseline="zero")
    )
    assert torch.isfinite(map_).all() and map_[~fov].abs().max() == 0 and map_.abs().max() > 0


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"samples": 1}, "samples=1"),
        ({"segments": 0}, "segments=0"),
        ({"regions": "hexagons"}, "'hexagons'"),
        ({"baseline": "grey"}, "'grey'"),
    ],
)
def test_wrong_values_are_named(parameters: dict[str, object], told: str, scorer: Scorer, eye: Case) -> None:
    with pytest.raises(UserError, match=told):
        explain(scorer, eye.image, method=few(**parameters))
