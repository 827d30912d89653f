from unittest.mock import Mock

import numpy as np
import pytest
import torch
from lime import lime_image
from made_up import target_on
from torch import nn

from explainers.hiding import few, region_sums, worth
from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.explainers.explain import explain
from xaibench.explainers.lime import lime
from xaibench.scorer import Scorer
from xaibench.scorer.batching import Engine
from xaibench.scorer.coalition_game import CoalitionGame


def ridge(present: np.ndarray, values: np.ndarray) -> np.ndarray:
    """argmin Σ π(z) (v(z) - a - wz)² + |w|², π = exp(-d² / 2σ²), d = 1 - cos(z, 1), σ = .25 (Ribeiro 2016, eq. 2)."""
    n = present.shape[1]
    norm = np.sqrt(present.sum(1) * n)
    distance = 1 - np.divide(present.sum(1), norm, out=np.zeros(len(present)), where=norm > 0)
    weight = np.exp(-(distance**2) / (2 * 0.25**2))
    x, y = present - np.average(present, 0, weight), values - np.average(values, weights=weight)
    return np.linalg.solve(x.T @ (weight[:, None] * x) + np.eye(n), x.T @ (weight * y))


Asked = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The coalitions that lime asked for, with their scores."""
    kept, score = [], CoalitionGame.__call__

    def keeping(game: CoalitionGame, coalitions: np.ndarray) -> np.ndarray:
        kept.append((coalitions, score(game, coalitions)))
        return kept[-1][1]

    monkeypatch.setattr(CoalitionGame, "__call__", keeping)
    return kept


@pytest.mark.parametrize("regions", ["slic", "tiles"])
def test_it_is_the_weighted_ridge_regression(regions: str, plain: nn.Module, eye: Case, asked: Asked) -> None:
    map_ = explain(Scorer(plain, target_on(eye)), eye.image, method=few(lime, regions=regions))
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
    ours = lime(scorer, eye.image, rng=np.random.default_rng(3), segments=10, samples=40)
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


def test_of_a_linear_score_the_weights_are_the_regions_sums(linear: Scorer, eye: Case) -> None:
    """Σ w (x - x₀) over the pixels of each region, shrunk by the penalty the less the more samples there are."""
    labels = superpixels(eye.image, eye.fov, 10)
    expected = region_sums(worth(eye), labels)
    maps = [explain(linear, eye.image, method=few(lime, samples=n)) for n in (60, 300, 1500)]
    shrunk = [float(region_sums(map_, labels) @ expected / (expected @ expected)) for map_ in maps]
    assert 0.7 < shrunk[0] < shrunk[1] < shrunk[2] < 1
    assert shrunk[2] == pytest.approx(1 - 4 / (1500 * 0.5), abs=0.003)


def test_the_librarys_progress_bar_is_put_back_where_the_network_fails(plain: nn.Module, eye: Case) -> None:
    bar, plain.forward = lime_image.tqdm, Mock(side_effect=RuntimeError("no"))
    with pytest.raises(RuntimeError, match="no"):
        explain(Scorer(plain, target_on(eye), engine=Engine()), eye.image, method=few(lime))
    assert lime_image.tqdm is bar


def test_each_sample_costs_a_pass(scorer: Scorer, eye: Case) -> None:
    explain(scorer, eye.image, method=few(lime, segments=30, samples=25))
    assert scorer.passes == 25
