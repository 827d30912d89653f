import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_up import GreenFilter, draw_eye, noise
from nets import Function
from skimage.morphology import skeletonize
from sklearn import metrics as reference
from torch import nn

from xaibench.data.case import Case
from xaibench.models.evaluate import FIGURES, cldice, evaluate, figures, predict


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float32, 30, elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])),
    hnp.arrays(bool, 30),
    hnp.arrays(bool, 30),
)
def test_figures_agree_with_scikit_learn(probability: np.ndarray, truth: np.ndarray, some: np.ndarray) -> None:
    truth[:2], thin = (True, False), truth & some
    found = probability >= 0.5
    expected = {
        "auc": reference.roc_auc_score(truth, probability),
        "ap": reference.average_precision_score(truth, probability),
        "f1": reference.f1_score(truth, found, zero_division=0),
        "sensitivity": reference.recall_score(truth, found),
        "specificity": reference.recall_score(~truth, ~found),
        "accuracy": reference.accuracy_score(truth, found),
        "sensitivity_thin": reference.recall_score(thin, found & thin, zero_division=np.nan),
        "sensitivity_thick": reference.recall_score(truth & ~thin, found & truth & ~thin, zero_division=np.nan),
    }
    assert figures(probability, truth, thin) == pytest.approx(expected, nan_ok=True)


def test_a_figure_without_meaning_is_nan() -> None:
    none = np.zeros(4, bool)
    ours = figures(np.full(4, 0.2), none, none)
    assert {name for name, value in ours.items() if math.isnan(value)} == {
        *("auc", "ap", "f1", "sensitivity", "sensitivity_thin", "sensitivity_thick")
    }
    assert ours["specificity"] == ours["accuracy"] == 1
    every = figures(np.full(4, 0.8), ~none, none)
    assert every["sensitivity"] == 1 and math.isnan(every["specificity"]) and math.isnan(every["auc"])


def line(row: int, columns: slice, width: int = 3) -> np.ndarray:
    mask = np.zeros((20, 40), bool)
    mask[row : row + width, columns] = True
    return mask


def test_cldice() -> None:
    whole, half = line(8, slice(0, 40)), line(8, slice(0, 20))
    assert cldice(whole, whole) == 1
    assert cldice(whole, line(14, slice(0, 40))) == 0
    # All of the half's skeleton lies in the whole, and half of the whole's in the half: 2 · 1 · ½ / 1½.
    assert cldice(half, whole) == cldice(whole, half) == pytest.approx(2 / 3, abs=0.02)
    centreline = skeletonize(whole)
    assert skeletonize(centreline).sum() == centreline.sum() and cldice(centreline, whole) == 1  # it alone is enough
    assert math.isnan(cldice(np.zeros((20, 40), bool), whole)) and math.isnan(cldice(whole, np.zeros((20, 40), bool)))


def test_a_perfect_prediction_has_perfect_figures(eye: Case) -> None:
    result = evaluate(lambda image: eye.vessels.float(), [eye])
    assert result.pooled == result.per_image["eye"] == dict.fromkeys(FIGURES, 1.0)
    bare = evaluate(lambda image: eye.vessels.float() * 0, [replace(eye, vessels=eye.vessels & False)])
    assert math.isnan(bare.per_image["eye"]["sensitivity"]) and bare.pooled["specificity"] == 1
    worst = evaluate(lambda image: 1 - eye.vessels.float(), [eye]).pooled
    assert worst["auc"] == worst["f1"] == worst["accuracy"] == worst["sensitivity_thin"] == 0


def test_what_lies_outside_the_field_of_view_does_not_count(eye: Case) -> None:
    given = noise(*eye.fov.shape)
    other = torch.where(eye.fov, given, 1 - given)
    assert evaluate(lambda image: given, [eye]) == evaluate(lambda image: other, [eye])


def test_pooled_figures_are_over_all_pixels_together() -> None:
    """Each image alone is perfectly ordered, both together are not: pooling sees it."""
    eyes = [draw_eye(image_seed=i, id=str(i)) for i in range(2)]
    answers = {float(e.image.sum()): e.vessels.float() * 0.4 + 0.6 * i for i, e in enumerate(eyes)}
    result = evaluate(lambda image: answers[float(image.sum())], eyes)
    assert result.per_image["0"]["auc"] == result.per_image["1"]["auc"] == 1
    # A vessel pixel of the first beats the first's background only; one of the second beats all. Thus ¾.
    assert result.pooled["auc"] == pytest.approx(0.75)
    assert math.isnan(result.per_image["0"]["cldice"])  # at threshold .5 nothing is found in it …
    assert math.isnan(result.pooled["cldice"])  # … and a missing value is not left out of a mean


def test_predict_is_the_networks_probability(eye: Case) -> None:
    probability = predict(GreenFilter(0.4, 20.0), eye.image)
    torch.testing.assert_close(probability, torch.sigmoid(20 * (0.4 - eye.image[1])))
    assert not probability.is_inference() and probability.shape == eye.fov.shape


def test_predict_goes_where_the_network_is() -> None:
    """An image on one device and a network on another: the image is moved."""

    def forward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        assert images.device == network.part.weight.device
        return torch.zeros(1, 1, 4, 4)

    elsewhere = Function(forward, part=nn.Conv2d(3, 1, 1, device="meta"))
    assert predict(elsewhere, torch.zeros(3, 4, 4)).device.type == "cpu"
