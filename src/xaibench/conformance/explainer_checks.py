"""The checks that every explainer is held against; each takes a trial and returns in words what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xaibench.conformance.explainer_subjects import (
    PLANTED_SIZE,
    SIZES,
    WINDOWS,
    Failing,
    OneByOne,
    blank_picture,
    blind_network,
    in_use,
    picture,
    planted_network,
    random_network,
    scorer_of,
)
from xaibench.conformance.explainer_trial import CheckFailed, NoMap, Trial
from xaibench.data.case import Case
from xaibench.data.phantom.draw import draw_phantom
from xaibench.errors import Skipped
from xaibench.metrics.cost import measured
from xaibench.models.bundled import unet_phantom
from xaibench.running.sandbox.snapshot import Settings, State
from xaibench.scorer import Scorer, target

CLEARLY = 0.5  # s.d. of the map, by which its mean where the evidence lies is above its mean elsewhere
SAME_ON_GPU = 0.02  # norm of the difference of two maps, relative to the map's
ALIKE_ON_GPU = 0.7  # correlation of two maps whose chance each device may draw for itself


@dataclass(frozen=True)
class Limits:
    """The most that a map of a DRIVE-sized picture may cost at the method's parameters."""

    seconds: float = 60.0
    peak_mb: float = 1500.0


def shape_dtype_finite(trial: Trial) -> str:
    """A finite map of real numbers in the image's size, which may be odd and need not be square."""
    cases = [picture(size) for size in SIZES]
    trial.each({_size(case): (scorer_of(random_network(), case), case) for case in cases})
    return f"{len(cases)} sizes"


def _size(case: Case) -> str:
    height, width = case.fov.shape
    return f"{width} × {height} px"


def same_seed(trial: Trial) -> str:
    """The same seed gives the same map, bit for bit, whatever was computed before."""
    case = picture()
    scorer = scorer_of(random_network(), case)
    scorer.probability(case.image[None])
    trial.reproducible = torch.equal(trial.first, trial.map(scorer, case))
    if not trial.reproducible:
        raise CheckFailed("two calls with the same seed give different maps: draw all chance from `rng`")
    return "bit for bit"


def other_seed(trial: Trial) -> str:
    """Another seed gives another map if and only if the method declares ``stochastic``."""
    if not trial.declares:
        raise Skipped("a plain function does not declare whether there is chance in it")
    if not trial.reproducible:
        raise Skipped("not even the same seed gives the same map, see same-seed")
    case = picture()
    differs = not torch.equal(trial.first, trial.map(scorer_of(random_network(), case), case, seed=1))
    if differs and not trial.traits.stochastic:
        raise CheckFailed("another seed gives another map: declare stochastic=True")
    if trial.traits.stochastic and not differs:
        raise CheckFailed("it declares stochastic=True, and another seed gives the same map")
    return "another map" if differs else "the same map"


def micro_batch(trial: Trial) -> str:
    """The map does not depend on how many pictures the scorer puts through the network at a time."""
    if not trial.reproducible:
        raise Skipped("not even the same micro-batch gives the same map, see same-seed")
    case, sizes = picture(), (1, 3, 8)
    one, *others = (trial.map(scorer_of(random_network(OneByOne()), case, micro_batch=size), case) for size in sizes)
    for size, other in zip(sizes[1:], others, strict=True):
        if not torch.equal(one, other):
            raise CheckFailed(f"micro-batches of {size} pictures give another map than single pictures")
    return f"of {', '.join(map(str, sizes))}"


def gpu(trial: Trial) -> str:
    """The map of a network on a GPU agrees with that on the CPU."""
    if not torch.cuda.is_available():
        raise Skipped("there is no GPU")
    if not trial.reproducible:
        raise Skipped("not even one device gives the same map twice, see same-seed")
    case, window = picture(PLANTED_SIZE), WINDOWS[0]
    maps = [
        trial.map(scorer_of(planted_network(window), case, mask=case.fov, device=device), case).double()
        for device in ("cpu", "cuda")
    ]
    return agreement(*maps, stochastic=trial.traits.stochastic)


def agreement(on_cpu: Tensor, on_gpu: Tensor, *, stochastic: bool) -> str:
    """How well two maps agree, in words.

    Raises:
        CheckFailed: if they do not.
    """
    if stochastic:
        both = torch.stack([on_cpu.flatten(), on_gpu.flatten()])
        correlation = 1.0 if torch.equal(on_cpu, on_gpu) else float(torch.corrcoef(both)[0, 1])
        if not correlation >= ALIKE_ON_GPU:
            raise CheckFailed(f"the maps of CPU and GPU correlate with {correlation:.2f}, below {ALIKE_ON_GPU}")
        return f"correlation {correlation:.3f}"
    difference, size = float((on_cpu - on_gpu).norm()), float(on_cpu.norm())
    if not difference <= SAME_ON_GPU * size:
        raise CheckFailed(f"the maps of CPU and GPU differ by {difference:.3g}, where the map's norm is {size:.3g}")
    return f"relative difference {difference / size if size else 0:.1e}"


def state(trial: Trial) -> str:
    """Nothing is left behind that changes numbers: in the network (weights, modes, hooks), the picture, the labels.

    Gradients left on weights and ``requires_grad`` flags are no fault: a run puts them back.

    Also of a network that is half trained, and also if it fails in its first or its third pass. The method may draw
    from Python's, numpy's and torch's global generators, which ``explain`` seeds and restores, but not seed them: then
    their states after it would be the same whatever the seed.
    """
    case, chance = picture(), []
    for when, network, seed in (
        ("", in_use(random_network()), 0),
        ("", in_use(random_network()), 1),
        (" if the network fails in its first pass", in_use(random_network(Failing(1))), 0),
        (" if it fails in its third pass", in_use(random_network(Failing(3))), 0),
    ):
        mine = replace(case, image=case.image.clone())
        scorer = scorer_of(network, mine)
        before, settings = State(scorer, mine), Settings()
        try:
            trial.map(scorer, mine, seed)
        except (NoMap, Skipped):
            if not when:
                raise
        found = [*before.changed(), *settings.changed()]
        settings.restore()
        before.restore()
        found += ["the image that it was given"] * (not trial.seen.image_kept)
        found += ["whether gradients are recorded"] * (not trial.seen.gradients_kept)
        if found:
            raise CheckFailed(f"it changes {', '.join(dict.fromkeys(found))}{when}")
        chance.append(trial.seen.chance)
    seeded = [name for name, value in chance[0].items() if chance[1][name] == value]
    if seeded:
        raise CheckFailed(f"it seeds {' and '.join(seeded)} global generator: draw from `rng`")
    return "also where the network fails"


def planted_evidence(trial: Trial) -> str:
    """The map is clearly higher where the evidence lies than elsewhere, for evidence in two places.

    Dark dots lie all over the picture and the network finds those inside a window only: the more and the darker, the
    higher its logits. So a map that shows where the picture is dark, or in which evidence counts against, fails; as
    does one made by a comparison with black, which is the darkest dot of all. Controls explain nothing and are exempt.
    """
    if trial.traits.control:
        raise Skipped("a control explains nothing")
    case, found = picture(PLANTED_SIZE), []
    for window in WINDOWS:
        map_ = trial.map(scorer_of(planted_network(window), case, mask=case.fov), case).double()
        inside = torch.zeros_like(case.fov)
        inside[window] = True
        there, elsewhere = map_[inside & case.fov].mean(), map_[~inside & case.fov].mean()
        deviation = map_[case.fov].std()
        if not there - elsewhere > CLEARLY * deviation:
            rows, columns = (f"{s.start} to {s.stop - 1}" for s in window)
            raise CheckFailed(
                f"the network reads only rows {rows} and columns {columns}, where the map's mean is {there:.3g}; "
                f"elsewhere it is {elsewhere:.3g} (s.d. {deviation:.3g})"
            )
        found.append(float((there - elsewhere) / deviation))
    return f"{min(found):.1f} s.d. above the rest"


def zero_gradient(trial: Trial) -> str:
    """A network whose score does not depend on the picture has a legal map, too."""
    case = picture()
    trial.map(scorer_of(blind_network(), case), case)
    return "a legal map"


def target_size(trial: Trial) -> str:
    """A target of three pixels has a legal map, and one of the whole field of view."""
    case = picture()
    few = torch.zeros_like(case.fov)
    few[24, 30:33] = True
    network = random_network()
    trial.each({n: (scorer_of(network, case, mask=m), case) for n, m in (("3 pixels", few), ("all pixels", case.fov))})
    return "3 pixels, all pixels"


def constant_picture(trial: Trial) -> str:
    """A picture that is the same everywhere, in which there is nothing to be seen, has a legal map."""
    case = blank_picture()
    trial.map(scorer_of(random_network(), case), case)
    return "a legal map"


def labels(trial: Trial) -> str:
    """Only a control may see labels, and only if it declares ``sees_labels``; it must read them then."""
    if not trial.traits.sees_labels:
        if trial.takes_case:
            raise CheckFailed("it has a parameter `case`, which brings labels, and does not declare sees_labels=True")
        return "not given any"
    case = picture()
    other = replace(case, **{n: getattr(case, n).flip(0, 1) for n in ("vessels", "caliber", "observer2")})
    if torch.equal(trial.first, trial.map(scorer_of(random_network(), case), other)):
        raise CheckFailed("it declares sees_labels=True, and other labels give the same map")
    return "declared, and read"


def sign(trial: Trial) -> str:
    """No map of a method that does not declare ``signed`` has negative values; of all maps that checks asked for."""
    if trial.traits.signed:
        return "declared signed" if trial.declares else "a plain function may be signed"
    if trial.lowest < 0:
        raise CheckFailed(f"a map has {trial.lowest:.3g} in it: declare signed=True")
    return f"nothing negative in {trial.maps} maps"


def cost(trial: Trial, limits: Limits | None) -> str:
    """What a map of a DRIVE-sized phantom costs with the bundled network; a failure only where it exceeds limits."""
    case, model = draw_phantom(0), unet_phantom()
    scorer = Scorer(model, target("vessels", model, case))
    scorer(case.image[None])  # the first pass may measure how passes are made
    with measured(scorer) as spent:
        trial.map(scorer, case)
    found = f"{spent.seconds:.1f} s, {spent.passes} passes, {spent.peak_mb:.0f} MB"
    if limits and (spent.seconds > limits.seconds or spent.peak_mb > limits.peak_mb):
        raise CheckFailed(f"{found}: more than {limits.seconds:g} s or {limits.peak_mb:g} MB")
    return found


def quiet(trial: Trial) -> str:
    """Nothing is printed, and nobody warned, while a map is made; of all maps that checks asked for."""
    if trial.said:
        raise CheckFailed(f"it says {trial.said!r}")
    return f"in {trial.maps} maps"


def some_map(trial: Trial) -> str:
    """The method gave a map in some check: it did not say of all networks and pictures that it cannot work there."""
    if not trial.maps:
        raise NoMap("it gave no map in any check")
    return f"{trial.maps} maps"


CHECKS: dict[str, Callable[[Trial], str]] = {
    "shape-dtype-finite": shape_dtype_finite,
    "same-seed": same_seed,
    "other-seed": other_seed,
    "micro-batch": micro_batch,
    "gpu": gpu,
    "state": state,
    "planted-evidence": planted_evidence,
    "zero-gradient": zero_gradient,
    "target": target_size,
    "constant-picture": constant_picture,
    "labels": labels,
    # After those that ask for maps:
    "sign": sign,
    "quiet": quiet,
}
