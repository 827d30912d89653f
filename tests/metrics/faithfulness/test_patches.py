import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from made_up import draw_eye, green_scorer, rng

from xaibench.errors import Skipped
from xaibench.metrics.faithfulness.patches import faithfulness_correlation, infidelity, remove_patches

EYE = draw_eye()
MAP = np.random.default_rng(0).normal(size=EYE.fov.shape).astype(np.float32)
SEED = int(rng().integers(2**63))


def test_patches_lie_in_the_field_of_view_and_are_of_one_size() -> None:
    removed = remove_patches(EYE, green_scorer(EYE), SEED, 40, 9, "blur")
    assert removed.side == 9 and removed.corners.shape == (40, 2) and removed.drops.shape == (40,)
    for y, x in removed.corners:
        assert EYE.fov.numpy()[y : y + 9, x : x + 9].all()
    np.testing.assert_allclose(removed.sums(np.ones_like(MAP)), 81)


def test_of_a_linear_score_the_exact_map_is_faithful() -> None:
    """g is linear in green: blackening a pixel of the target takes gain × green off it, and no other pixel counts."""
    made = remove_patches(EYE, green_scorer(EYE), SEED, 60, 8, "zero")
    black = (np.where(EYE.vessels, -8.0 * EYE.image[1].numpy(), 0) / float(EYE.vessels.sum())).astype(np.float32)
    np.testing.assert_allclose(made.sums(black), made.drops, atol=1e-5)
    given = {"rng": rng(), "side": 8, "fill": "zero"}
    assert faithfulness_correlation(black, EYE, green_scorer(EYE), **given).value == pytest.approx(1, abs=1e-4)
    assert faithfulness_correlation(-black, EYE, green_scorer(EYE), **given).value < 0.999
    assert infidelity(7 * black, EYE, green_scorer(EYE), **given).value == pytest.approx(0, abs=1e-8)


def test_infidelity_is_captums() -> None:
    """In the space of what is present, where captum can be given the same patches and the map as it is."""
    asked = green_scorer(EYE)
    removed = remove_patches(EYE, asked, SEED, 25, 10, "zero")
    corners = iter(removed.corners.tolist())

    def score(present: torch.Tensor) -> torch.Tensor:
        return asked(torch.cat([EYE.image[None] * p for p in present]))

    def patch(present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        gone = torch.zeros_like(present)
        for one in gone:
            y, x = next(corners)
            one[:, y : y + 10, x : x + 10] = 1
        return gone, present - gone

    expected = captum_infidelity(
        score,
        patch,
        torch.ones(1, 1, *MAP.shape),
        torch.from_numpy(MAP)[None, None],
        n_perturb_samples=25,
        max_examples_per_batch=1,
        normalize=True,
    )
    given = {"rng": rng(), "patches": 25, "side": 10, "fill": "zero"}
    assert infidelity(MAP, EYE, asked, **given).value == pytest.approx(float(expected[0]), rel=1e-3)


def test_the_passes_are_made_once_for_all_maps() -> None:
    asked = green_scorer(EYE)
    for map_ in (MAP, 2 * MAP, np.zeros_like(MAP)):
        infidelity(map_, EYE, asked, rng=rng(), patches=30)
        faithfulness_correlation(map_, EYE, asked, rng=rng(), patches=30)
    assert asked.passes == 31


def test_a_patch_larger_than_the_field_of_view_is_skipped() -> None:
    with pytest.raises(Skipped, match="no patch of 60 px fits"):
        infidelity(MAP, EYE, green_scorer(EYE), rng=rng(), side=60)
