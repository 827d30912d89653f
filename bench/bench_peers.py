"""The same work through the public interfaces of what people use today, in this process, and its result compared.

Each pair has the same network, image, score, samples and steps. The peers are used as their documentation shows: the
network gets pictures in PyTorch's default memory format, in batches of the size that the peer chooses.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from subject import Subject
from torch import Tensor

import xaibench as xb
from xaibench.data.regions import superpixels
from xaibench.imputation.fills import prepare_fill
from xaibench.metrics.faithfulness.pixel_flipping import Removal

STEPS = 40  # of pixel flipping; Quantus wants as many pixels in all, and its picture is 584 x 565 px
SAMPLES = 200  # of lime on our superpixels: both take as long per sample whatever their number
PERCENTAGES = (10, 50, 90)  # of ROAD


def target_score(subject: Subject) -> Callable[[Tensor], Tensor]:
    """(N, 3, H, W) to (N,): the mean logit over the target, as a user writes it."""
    mask = subject.scorer.target.mask

    def score(pictures: Tensor) -> Tensor:
        return subject.model(pictures)[:, 0, mask].mean(1)

    return score


def difference(ours: Tensor | np.ndarray, theirs: Tensor | np.ndarray) -> float:
    """Largest difference."""
    return float(np.abs(np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)).max())


OCCLUSION = "occlusion[patch=16,stride=16]"
PAIRS = {
    "occlusion, 16-px windows": OCCLUSION,
    "integrated gradients, 50 steps": "integrated-gradients",
    "lime, 1000 samples": "lime[samples=1000]",
    f"lime, {SAMPLES} samples, 50 superpixels": f"lime[samples={SAMPLES}]",
    "partition SHAP, 300 evaluations": "partition-shap[samples=300]",
}


@pytest.mark.parametrize("pair", PAIRS)
def test_ours(once: Callable[..., Any], subject: Subject, pair: str) -> None:
    once(
        lambda: xb.explain(subject.scorer, subject.case.image, method=PAIRS[pair]),
        kind="ours",
        pair=pair,
        name=PAIRS[pair],
    )


@pytest.mark.parametrize("batch", [1, 4], ids=["default", "4-a-call"])
def test_captum_occlusion(once: Callable[..., Any], benchmark: BenchmarkFixture, subject: Subject, batch: int) -> None:
    from captum.attr import Occlusion

    image, fov = subject.case.image, subject.case.fov
    reference = subject.scorer.reference("blur", image)

    def peer() -> Tensor:
        with torch.no_grad():
            return Occlusion(target_score(subject)).attribute(
                image[None],
                (3, 16, 16),
                strides=(3, 16, 16),
                baselines=reference[None],
                perturbations_per_eval=batch,
            )

    theirs = once(peer, kind="peer", pair="occlusion, 16-px windows", name=f"captum Occlusion, {batch} a call")
    ours = subject.scorer.cache.get(xb.explain, subject.scorer, image, method=OCCLUSION)
    benchmark.extra_info["difference"] = difference(ours[fov], theirs[0, 0][fov])
    assert benchmark.extra_info["difference"] <= 1e-5  # logits


def test_captum_integrated_gradients(once: Callable[..., Any], benchmark: BenchmarkFixture, subject: Subject) -> None:
    from captum.attr import IntegratedGradients

    image = subject.case.image
    start = subject.scorer.reference("blur", image)
    theirs = once(
        lambda: IntegratedGradients(target_score(subject)).attribute(image[None], start[None]),
        kind="peer",
        pair="integrated gradients, 50 steps",
        name="captum IntegratedGradients, defaults",
    )
    ours = xb.explain(subject.scorer, image, method="integrated-gradients")
    benchmark.extra_info["difference"] = difference(ours, theirs[0].sum(0).detach())
    assert benchmark.extra_info["difference"] <= 1e-5


def classifier(subject: Subject) -> Callable[[np.ndarray], np.ndarray]:
    """(N, H, W, 3) to (N, 1), as lime and shap ask for it."""
    score = target_score(subject)

    def classify(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return score(torch.from_numpy(np.ascontiguousarray(pictures)).float().permute(0, 3, 1, 2))[:, None].numpy()

    return classify


def per_pixel(explanation: Any, labels: np.ndarray) -> np.ndarray:
    """lime's weights of segments 0 … n - 1, shared by their pixels."""
    weights = np.array([weight for _label, weight in sorted(explanation.local_exp[0])])
    return np.asarray((weights / np.bincount(labels.ravel()))[labels])


def agreement(subject: Subject, labels: np.ndarray, theirs: np.ndarray, method: str) -> float:
    """Pearson's r of a map of theirs and ours, summed over the superpixels of ours; each draws its own coalitions."""
    ours = xb.explain(subject.scorer, subject.case.image, method=method).numpy()
    sums = [np.bincount(labels.ravel(), m.ravel().astype(np.float64)) for m in (ours, theirs)]
    return float(np.corrcoef(*sums)[0, 1])


def test_lime_at_its_defaults(once: Callable[..., Any], benchmark: BenchmarkFixture, subject: Subject) -> None:
    from lime.lime_image import LimeImageExplainer

    picture = subject.case.image.permute(1, 2, 0).double().numpy()
    classify = classifier(subject)
    found = once(
        lambda: LimeImageExplainer(random_state=0).explain_instance(picture, classify, top_labels=1),
        kind="peer",
        pair="lime, 1000 samples",
        name="lime, defaults",
    )
    theirs = per_pixel(found, found.segments)
    labels = superpixels(subject.case.image, subject.case.fov, 50)
    benchmark.extra_info["correlation"] = agreement(subject, labels, theirs, PAIRS["lime, 1000 samples"])


def test_lime_on_our_superpixels(once: Callable[..., Any], benchmark: BenchmarkFixture, subject: Subject) -> None:
    from lime.lime_image import LimeImageExplainer

    case, pair = subject.case, f"lime, {SAMPLES} samples, 50 superpixels"
    labels = superpixels(case.image, case.fov, 50)
    hidden = subject.scorer.reference("blur", case.image).permute(1, 2, 0).double().numpy()
    classify = classifier(subject)

    def peer() -> Any:
        explainer = LimeImageExplainer(feature_selection="none", random_state=0)
        return explainer.explain_instance(
            case.image.permute(1, 2, 0).double().numpy(),
            classify,
            labels=(0,),
            top_labels=None,
            hide_color=hidden,
            num_samples=SAMPLES,
            segmentation_fn=lambda picture: labels,
        )

    found = once(peer, kind="peer", pair=pair, name="lime, our superpixels")
    benchmark.extra_info["correlation"] = agreement(subject, labels, per_pixel(found, labels), PAIRS[pair])
    assert benchmark.extra_info["correlation"] > 0.7


def test_shap_partition(once: Callable[..., Any], subject: Subject) -> None:
    import shap

    picture = subject.case.image.permute(1, 2, 0).numpy()
    classify = classifier(subject)
    masker = shap.maskers.Image(
        subject.scorer.reference("blur", subject.case.image).permute(1, 2, 0).numpy(), picture.shape
    )
    explainer = shap.PartitionExplainer(classify, masker)
    values = once(
        lambda: explainer(picture[None], max_evals=300, batch_size=50, silent=True).values,
        kind="peer",
        pair="partition SHAP, 300 evaluations",
        name="shap Partition, batch 50",
    )
    # Its players are not ours; what both promise is the sum.
    whole, emptied = subject.scorer(
        torch.stack([subject.case.image, subject.scorer.reference("blur", subject.case.image)])
    )
    assert float(values.sum()) == pytest.approx(float(whole - emptied), rel=1e-2)


class Classifier(torch.nn.Module):
    """The network as the classifiers that Quantus knows: (N, 3, H, W) to (N, 1), the target's probability."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.model, self.mask = subject.model, subject.scorer.target.mask

    def forward(self, pictures: Tensor) -> Tensor:
        return self.model(pictures).sigmoid()[:, 0, self.mask].mean(1, keepdim=True)


def attribution(subject: Subject) -> np.ndarray:
    """A map without ties."""
    map_ = xb.explain(subject.scorer, subject.case.image, method="saliency").numpy()
    return map_ + np.random.default_rng(0).random(map_.shape).astype(np.float32) * map_[map_ > 0].min() * 1e-3


def by_quantus(metric: Any, subject: Subject, map_: np.ndarray) -> Any:
    """What one of its metrics says of one map, as its documentation calls it."""
    return metric(
        model=Classifier(subject).eval(),
        x_batch=subject.case.image.numpy()[None],
        y_batch=np.array([0]),
        a_batch=map_[None, None],
        softmax=False,
        device="cpu",
    )


def _divisor(size: int, steps: int) -> int:
    """Pixels per step that divide the picture evenly, as Quantus asks, in about that many steps."""
    return min((d for d in range(1, size + 1) if size % d == 0), key=lambda d: abs(size / d - steps))


def test_quantus_pixel_flipping(once: Callable[..., Any], subject: Subject) -> None:
    quantus = pytest.importorskip("quantus")
    map_ = attribution(subject)
    metric = quantus.PixelFlipping(
        features_in_step=_divisor(map_.size, STEPS), perturb_baseline="black", disable_warnings=True
    )
    theirs = once(
        lambda: by_quantus(metric, subject, map_),
        kind="peer",
        pair=f"deletion curve, {STEPS} steps",
        name="Quantus PixelFlipping",
    )
    assert np.isfinite(theirs).all()


def test_our_deletion_curve(once: Callable[..., Any], subject: Subject) -> None:
    case, map_ = subject.case, attribution(subject)
    pixels = np.flatnonzero(case.fov.numpy())
    order = pixels[np.argsort(-map_.ravel()[pixels], kind="stable")]
    seen = once(
        lambda: Removal(case, subject.scorer, "zero", 0).in_order(np.array_split(order, STEPS)),
        kind="ours",
        pair=f"deletion curve, {STEPS} steps",
        name="deletion[fill=zero]",
    )
    assert len(seen[0]) == STEPS + 2


def test_quantus_road(once: Callable[..., Any], subject: Subject) -> None:
    quantus = pytest.importorskip("quantus")
    map_ = attribution(subject)
    metric = quantus.ROAD(percentages=list(PERCENTAGES), disable_warnings=True)

    def peer() -> None:
        by_quantus(metric, subject, map_)

    try:
        once(peer, kind="peer", pair=f"noisy linear imputation, {len(PERCENTAGES)} steps", name="Quantus ROAD")
    except IndexError as error:
        pytest.skip(f"its ROAD takes no map of one channel for a picture of three: {error}")


def test_our_imputation(once: Callable[..., Any], subject: Subject) -> None:
    case, map_ = subject.case, attribution(subject)
    image, fov = case.image.numpy(), case.fov.numpy()

    def ours() -> list[float]:
        filler = prepare_fill("inpaint", image, fov, scale=case.scale, rng=np.random.default_rng(0))
        least = np.percentile(map_, [100 - p for p in PERCENTAGES])
        return [float(subject.scorer.probability(torch.from_numpy(filler(map_ >= v))[None])) for v in least]

    values = once(ours, kind="ours", pair=f"noisy linear imputation, {len(PERCENTAGES)} steps", name="fill inpaint")
    assert np.isfinite(values).all()
