import itertools

import numpy as np
import pytest
import torch
from made_up import noise, target_on
from torch import Tensor, nn
from torch.nn import functional as F

from explainers.hiding import few, gain, region_sums, worth
from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.data.regions import superpixels
from xaibench.errors import UserError
from xaibench.explainers import shapley as room
from xaibench.explainers.explain import explain
from xaibench.metrics.ground_truth.shapley_error import coalitions, shapley_values
from xaibench.registry import Plugin
from xaibench.scorer import Scorer, Target
from xaibench.scorer.batching import Engine
from xaibench.vocabulary import REFERENCES

METHODS = [room.kernel_shap, room.shapley_sampling, room.partition_shap]
every = pytest.mark.parametrize("method", METHODS, ids=lambda p: p.name)


class Entangled(nn.Module):
    """A score that no sum of regions explains: a wave of the mean greens of a 4 × 4 grid, everywhere the same."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.register_buffer("inner", torch.randn(8, 16, generator=generator) * 6)
        self.register_buffer("outer", torch.randn(8, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        green = F.adaptive_avg_pool2d(images[:, 1:2], 4).flatten(1)
        wave = torch.sin(green @ self.inner.T) @ self.outer
        return wave.view(-1, 1, 1, 1).expand(-1, 1, *images.shape[2:])


DISC = torch.hypot(*torch.meshgrid(torch.arange(24.0) - 11.5, torch.arange(26.0) - 12.5, indexing="ij")) <= 11.5
VIVID = torch.where(DISC, noise(3, 24, 26), 0.0)


@pytest.fixture
def entangled() -> Scorer:
    """On a small disc, 24 × 26 px."""
    return Scorer(Entangled().eval(), Target("disc", DISC, DISC, DISC.float()), engine=Engine())


@pytest.fixture
def truth(entangled: Scorer) -> tuple[np.ndarray, np.ndarray]:
    """Labels of nine regions, and their Shapley values against black."""
    labels = superpixels(VIVID, DISC, 7, "tiles")
    assert labels.max() + 1 == 9
    reference = reference_image("zero", VIVID, DISC, 1.0)
    # By the scores of all 2⁹ coalitions:
    present = torch.from_numpy(coalitions(9)[:, labels])
    phi = shapley_values(entangled(torch.where(present[:, None], VIVID, reference)).double().numpy())
    alone = [
        float(entangled(VIVID[None]) - entangled(torch.where(torch.from_numpy(labels == i), reference, VIVID)[None]))
        for i in range(9)
    ]
    assert np.abs(phi - alone).sum() > 0.5 * np.abs(phi).sum()  # the order matters, else any one would do
    entangled.passes = 0
    return labels, phi


def test_all_coalitions_give_the_shapley_values(entangled: Scorer, truth: tuple[np.ndarray, np.ndarray]) -> None:
    labels, phi = truth
    spec = few(room.kernel_shap, segments=7, regions="tiles", samples=10_000, baseline="zero")
    map_ = explain(entangled, VIVID, method=spec)
    assert entangled.passes == 2**9
    np.testing.assert_allclose(region_sums(map_, labels), phi, atol=1e-5 * np.abs(phi).max())


@pytest.mark.parametrize(
    ("method", "name", "amounts"),
    [(room.kernel_shap, "samples", (48, 150, 400)), (room.shapley_sampling, "permutations", (2, 12, 72))],
    ids=["kernel-shap", "shapley-sampling"],
)
def test_the_error_falls_as_samples_grow(
    method: Plugin, name: str, amounts: tuple[int, ...], entangled: Scorer, truth: tuple[np.ndarray, np.ndarray]
) -> None:
    labels, phi = truth

    def error(amount: int) -> float:
        spec = few(method, segments=7, regions="tiles", baseline="zero", **{name: amount})
        maps = [explain(entangled, VIVID, method=spec, seed=seed) for seed in range(4)]
        return float(np.mean([np.abs(region_sums(m, labels) - phi).sum() for m in maps]) / np.abs(phi).sum())

    errors = [error(amount) for amount in amounts]
    assert errors[0] > 1.4 * errors[1] and errors[1] > 1.4 * errors[2]
    assert errors[0] > 0.05 and errors[2] < 0.15


def test_partition_shap_gives_owen_values(entangled: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each part: its mean contribution, all its ancestors' siblings before it or after it (Owen 1977)."""
    monkeypatch.setattr(room, "LEAF", 48)
    reference = reference_image("zero", VIVID, DISC, 1.0)
    labels, count = room.halvings(DISC.numpy())
    assert count == 8
    leaf, where = np.arange(8), torch.from_numpy(labels)

    def v(present: np.ndarray) -> float:
        return float(entangled(torch.where(torch.from_numpy(present)[where], VIVID, reference)[None]).double())

    owen = np.zeros(8)
    for i in leaf:
        siblings = [leaf >> k == (i >> k) ^ 1 for k in range(3)]
        for before in itertools.product([False, True], repeat=3):
            context = np.any([leaf < 0, *(s for s, b in zip(siblings, before, strict=True) if b)], axis=0)
            owen[i] += (v(context | (leaf == i)) - v(context)) / 8
    map_ = explain(entangled, VIVID, method=few(room.partition_shap, samples=10_000, baseline="zero"))
    sums = [float(map_.double()[torch.from_numpy(labels == i) & DISC].sum()) for i in leaf]
    np.testing.assert_allclose(sums, owen, atol=1e-5 * np.abs(owen).max())


@pytest.mark.parametrize("samples", [4, 17, 60])
def test_partition_shap_stops_where_it_is_told(samples: int, scorer: Scorer, eye: Case) -> None:
    explain(scorer, eye.image, method=few(room.partition_shap, samples=samples))
    assert samples // 2 <= scorer.passes <= samples + 1  # a part is halved by two passes, some known already


@every
@pytest.mark.parametrize("baseline", REFERENCES)
def test_the_map_sums_to_the_score_less_the_baselines(
    method: Plugin, baseline: str, entangled: Scorer, eye: Case, plain: nn.Module
) -> None:
    """Within 1e-4 of the difference, which float32 scores and maps lose."""
    for scorer, image in [(entangled, VIVID), (Scorer(plain, target_on(eye)), eye.image)]:
        map_ = explain(scorer, image, method=few(method, baseline=baseline))
        wanted = gain(scorer, image, baseline)
        assert abs(wanted) > 1e-3
        assert float(map_.double().sum()) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        assert map_[~scorer.target.fov].abs().max() == 0


def test_parts_are_equal_and_siblings_lie_side_by_side(eye: Case) -> None:
    labels, count = room.halvings(eye.fov.numpy())
    area = np.bincount(labels[eye.fov.numpy()], minlength=count)
    assert np.ptp(area) <= 1 and area.min() >= room.LEAF
    for k in range(count.bit_length() - 1):  # at every level each part is a connected piece, as half of its parent
        parts = np.where(eye.fov, labels >> k, -1)
        for i in range(count >> k):
            y, x = np.nonzero(parts == i)
            assert (np.ptp(y) + 1) * (np.ptp(x) + 1) <= 2.2 * len(y)


def test_too_few_samples_never_give_a_made_up_map(linear: Scorer, eye: Case) -> None:
    """With two samples per region the draw decides whether the regression has a solution: it is right, or refused."""
    labels = superpixels(eye.image, eye.fov, 7, "tiles")
    expected, refused = region_sums(worth(eye), labels), 0
    for seed in range(40):
        spec = few(room.kernel_shap, segments=7, regions="tiles", samples=18)
        try:
            sums = region_sums(explain(linear, eye.image, method=spec, seed=seed), labels)
        except UserError as error:
            assert "samples=18 cannot tell 9 regions apart" in str(error)
            refused += 1
        else:
            np.testing.assert_allclose(sums, expected, atol=1e-4 * np.abs(expected).max())
    assert 0 < refused < 20
