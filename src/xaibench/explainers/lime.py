"""A linear model of the score in the presence of regions, fitted around the picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from xaibench.data.regions import spread
from xaibench.parameter_checks import at_least
from xaibench.registry import explainer
from xaibench.scorer import Scorer
from xaibench.scorer.coalition_game import region_game


@explainer("lime", family="lime", signed=True, stochastic=True, paper="ribeiro2016", library="lime")
def lime(
    scorer: Scorer,
    image: Tensor,
    *,
    rng: np.random.Generator,
    segments: int = 50,
    samples: int = 300,
    regions: str = "slic",
    baseline: str = "blur",
) -> Tensor:
    """Weights of a ridge regression of the score on which superpixels are present (LIME).

    Random coalitions, each region present with probability ½, weighted by their cosine similarity to the whole picture
    (kernel width .25), and lime's ridge regression (penalty 1) with no features left out [ribeiro2016]. The penalty
    shrinks the weights by a share of about 4 / (samples × mean kernel weight), 2 % by default.

    lime hides a region by its mean colour unless told otherwise. Superpixels follow vessels, and a region that is a
    vessel has a vessel's mean colour, so hiding it would leave it where it is; here a baseline hides it. lime is given
    the regions as the pixels of a small picture, since it makes full copies of a picture, region by region, for every
    pass. It draws a progress bar that cannot be turned off; it is taken out while lime works.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: decides the coalitions.
        segments: about how many superpixels.
        samples: coalitions, the full one among them; each costs a pass.
        regions: ``"slic"`` or ``"tiles"``, see :func:`~xaibench.data.regions.superpixels`.
        baseline: what hides a region, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits; each region's weight is shared evenly by its pixels.

    Raises:
        UserError: for unknown regions or baseline, no segments, or less than two samples.
    """
    at_least(2, "samples", samples)
    labels, count, value = region_game(scorer, image, segments, regions, baseline)
    with _without_bar():
        from lime.lime_image import LimeImageExplainer

        method = LimeImageExplainer(feature_selection="none", random_state=int(rng.integers(2**31)))
        explanation = method.explain_instance(
            np.ones((1, count, 3)),  # a picture of one pixel per region, white where it is present
            lambda pictures: value(pictures[:, 0, :, 0])[:, None],
            labels=(0,),
            top_labels=None,
            hide_color=0,
            num_samples=samples,
            batch_size=samples,  # of small pictures; the game makes the large ones, a few at a time
            segmentation_fn=lambda picture: np.arange(count)[None],
        )
    weights = np.zeros(count)
    for region, weight in explanation.local_exp[0]:
        weights[region] = weight
    return spread(weights, labels, scorer.target.fov)


@contextmanager
def _without_bar() -> Iterator[None]:
    from lime import lime_image

    bar = lime_image.tqdm
    lime_image.tqdm = lambda rows: rows
    try:
        yield
    finally:
        lime_image.tqdm = bar
