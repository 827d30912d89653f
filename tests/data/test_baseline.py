import numpy as np
import pytest
import torch
from made_up import noise
from scipy.ndimage import gaussian_filter

from xaibench.data.baseline import reference_image
from xaibench.data.case import Case
from xaibench.errors import UserError
from xaibench.vocabulary import REFERENCES

SIGMA = {"blur": 10.0, "mean": 40.0}  # px of a field of view 540 px wide


@pytest.mark.parametrize("name", REFERENCES)
def test_outside_the_field_of_view_it_is_the_image(name: str, eye: Case) -> None:
    image = noise(*eye.image.shape)
    reference = reference_image(name, image, eye.fov, eye.scale)
    assert reference.dtype == torch.float32 and reference.shape == image.shape
    assert torch.equal(reference[:, ~eye.fov], image[:, ~eye.fov])
    assert not torch.equal(reference[:, eye.fov], image[:, eye.fov])
    assert reference.min() >= 0 and reference.max() <= 1


@pytest.mark.parametrize("name", ["blur", "mean"])
def test_it_is_the_gaussian_mean_of_the_field_of_view_alone(name: str, eye: Case) -> None:
    fov = eye.fov.numpy().astype(float)
    smooth = lambda values: gaussian_filter(values, SIGMA[name] * eye.scale, mode="reflect", truncate=8)
    expected = np.stack([(smooth(c * fov) / smooth(fov))[eye.fov] for c in eye.image.double().numpy()])
    reference = reference_image(name, eye.image, eye.fov, eye.scale)[:, eye.fov].numpy()
    np.testing.assert_allclose(reference, expected, rtol=0, atol=1e-5)


def test_what_lies_outside_does_not_leak_in(eye: Case) -> None:
    white = torch.where(eye.fov, eye.image, 1.0)
    for name in REFERENCES:
        inside = [reference_image(name, image, eye.fov, eye.scale)[:, eye.fov] for image in (eye.image, white)]
        torch.testing.assert_close(inside[0], inside[1], rtol=0, atol=1e-6)


def test_zero_is_black_and_the_others_keep_a_constant_image(eye: Case) -> None:
    grey = torch.where(eye.fov, torch.full_like(eye.image, 0.4), 0.0)
    assert reference_image("zero", grey, eye.fov, eye.scale).abs().max() == 0
    for name in ("blur", "mean"):
        torch.testing.assert_close(reference_image(name, grey, eye.fov, eye.scale), grey, rtol=0, atol=1e-6)


def test_an_unknown_name_is_told_with_the_known_ones(eye: Case) -> None:
    with pytest.raises(UserError, match=r"'grey'.* blur, mean, zero"):
        reference_image("grey", eye.image, eye.fov, eye.scale)
