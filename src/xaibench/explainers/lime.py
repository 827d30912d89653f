"""LIME: a linear model of the score in the presence of regions, fitted around the image."""

from unittest.mock import patch

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
    """Weights of a ridge regression of the score on the presence of superpixels (LIME).

    Random coalitions contain each region with probability ½ and are weighted by their cosine similarity to the whole
    image (kernel width .25); lime's ridge regression has penalty 1 and keeps all features [ribeiro2016]. The penalty
    shrinks the weights by a share of about 4 / (samples × mean kernel weight), 2 % by default.

    By default lime hides a region with its mean colour. Superpixels follow vessels, and a region that is a vessel keeps
    its colour then, so hiding would change nothing; here a baseline hides it. lime receives the regions as the pixels
    of a small image, since it makes a full copy of its image for every pass. Its progress bar has no switch and is
    removed while lime works.

    Args:
        scorer: network and target.
        image: (3, H, W) in [0, 1].
        rng: draws the coalitions.
        segments: approximate number of superpixels.
        samples: coalitions, the full one among them; each costs a pass.
        regions: ``"slic"`` or ``"tiles"``, see :func:`~xaibench.data.regions.superpixels`.
        baseline: the reference that hides a region, see :func:`~xaibench.data.baseline.reference_image`.

    Returns:
        (H, W) float32, signed, in logits; each region's weight is shared evenly by its pixels.

    Raises:
        UserError: for unknown regions or baseline, fewer than one segment, or fewer than two samples.
    """
    from lime import lime_image

    at_least(2, "samples", samples)
    labels, count, value = region_game(scorer, image, segments, regions, baseline)
    with patch.object(lime_image, "tqdm", iter):  # without its progress bar
        method = lime_image.LimeImageExplainer(feature_selection="none", random_state=int(rng.integers(2**31)))
        explanation = method.explain_instance(
            np.ones((1, count, 3)),  # an image of one pixel per region, white where the region is present
            lambda images: value(images[:, 0, :, 0])[:, None],
            labels=(0,),
            top_labels=None,
            hide_color=0,
            num_samples=samples,
            batch_size=samples,  # of small images; the game makes the large ones, a few at a time
            segmentation_fn=lambda small: np.arange(count)[None],
        )
    weights = np.zeros(count)
    for region, weight in explanation.local_exp[0]:
        weights[region] = weight
    return spread(weights, labels, scorer.target.fov)
