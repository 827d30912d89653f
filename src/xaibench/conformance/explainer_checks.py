"""The checks of explainers: each takes a trial and returns its finding in words, or raises."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from xaibench.conformance.explainer_subjects import (
    PLANTED_SIZE,
    SIZES,
    WINDOWS,
    blank_case,
    blind_network,
    dotted_case,
    in_use,
    planted_network,
    random_network,
    scorer_of,
)
from xaibench.conformance.explainer_trial import ExplainerTrial
from xaibench.conformance.trial import NoMap, attempt_each, checks_in, require, skip_if, some
from xaibench.data.phantom.draw import draw_phantom
from xaibench.errors import Skipped
from xaibench.metrics.cost import measured
from xaibench.models.bundled import unet_phantom
from xaibench.running.sandbox.snapshot import State
from xaibench.scorer import Scorer, target

CLEARLY = 0.5  # s.d. of the map by which its mean on the evidence must exceed its mean elsewhere
SAME_ON_GPU = 0.02  # largest norm of the difference of two maps, relative to the map's norm
ALIKE_ON_GPU = 0.7  # least correlation of the maps of a stochastic method, whose draws may differ by device


def check_shape_dtype_finite(trial: ExplainerTrial) -> str:
    """A finite map of real numbers in the image's size, which may be odd and need not be square."""
    sizes = {f"{width} × {height} px": (height, width) for height, width in SIZES}
    _map_each(sizes, lambda name: trial.map(dotted_case(sizes[name])))
    return f"{len(SIZES)} sizes"


def check_same_seed(trial: ExplainerTrial) -> str:
    """The same seed gives the same map, bit for bit, whatever was computed before."""
    scorer = scorer_of(dotted_case())
    scorer.probability(dotted_case().image[None])
    trial.reproducible = torch.equal(trial.first, trial.map(scorer=scorer))
    require(trial.reproducible, "two calls with the same seed give different maps: draw all random numbers from `rng`")
    return "bit for bit"


def check_other_seed(trial: ExplainerTrial) -> str:
    """Another seed gives another map if and only if the method declares ``stochastic``."""
    skip_if(not trial.is_declared, "a plain function does not declare whether it is stochastic")
    trial.require_reproducible()
    differs, stochastic = not torch.equal(trial.first, trial.map(seed=1)), trial.traits.stochastic
    require(stochastic or not differs, "another seed gives another map: declare stochastic=True")
    require(differs or not stochastic, "it declares stochastic=True, and another seed gives the same map")
    return "another map" if differs else "the same map"


def check_micro_batch(trial: ExplainerTrial) -> str:
    """The map does not depend on how many images the scorer puts through the network at a time."""
    trial.require_reproducible()
    case, sizes = dotted_case(), (1, 3, 8)
    one, *others = (trial.map(case, scorer_of(case, random_network(), micro_batch=size)) for size in sizes)
    for size, other in zip(sizes[1:], others, strict=True):
        require(torch.equal(one, other), f"micro-batches of {size} images give another map than single images")
    return f"of {', '.join(map(str, sizes))}"


def check_gpu(trial: ExplainerTrial) -> str:
    """The map of a network on a GPU agrees with that on the CPU."""
    skip_if(not torch.cuda.is_available(), "there is no GPU")
    trial.require_reproducible()
    case, maps = dotted_case(PLANTED_SIZE), []
    for device in ("cpu", "cuda"):
        scorer = scorer_of(case, planted_network(WINDOWS[0]), mask=case.fov, device=device)
        maps.append(trial.map(case, scorer).double())
    return agreement(*maps, stochastic=trial.traits.stochastic)


def agreement(on_cpu: Tensor, on_gpu: Tensor, *, stochastic: bool) -> str:
    """How well two maps agree, in words.

    Raises:
        CheckFailed: if they do not.
    """
    if stochastic:
        both = torch.stack([on_cpu.flatten(), on_gpu.flatten()])
        correlation = 1.0 if torch.equal(on_cpu, on_gpu) else float(torch.corrcoef(both)[0, 1])
        is_alike = correlation >= ALIKE_ON_GPU
        require(is_alike, f"the maps of CPU and GPU correlate with {correlation:.2f}, below {ALIKE_ON_GPU}")
        return f"correlation {correlation:.3f}"
    difference, norm = float((on_cpu - on_gpu).norm()), float(on_cpu.norm())
    is_close = difference <= SAME_ON_GPU * norm
    require(is_close, f"the maps of CPU and GPU differ by {difference:.3g}, where the map's norm is {norm:.3g}")
    return f"relative difference {difference / norm if norm else 0:.1e}"


def check_state(trial: ExplainerTrial) -> str:
    """The method leaves no change that alters numbers: in weights, modes, hooks, image, labels or random states.

    This holds for a half-trained network too, and if the network fails in its first or its third pass. Gradients left
    on weights and ``requires_grad`` flags are no fault: a run restores them. The method may draw from the global
    generators of Python, NumPy and torch, which ``explain`` seeds and restores, but not seed them: then their states
    after it would be the same for every seed.
    """
    random_states = []
    for when, passes, seed in (
        ("", 0, 0),
        ("", 0, 1),
        (" if the network fails in its first pass", 1, 0),
        (" if it fails in its third pass", 3, 0),
    ):
        case = dotted_case()
        scorer = scorer_of(case, in_use(random_network(passes)))
        before = State(scorer, case)
        try:
            trial.map(case, scorer, seed)
        except (NoMap, Skipped):
            if not when:
                raise
        changed = before.changed() + trial.changed
        before.restore()
        require(not changed, f"it changes {', '.join(changed)}{when}")
        random_states.append(trial.random_states)
    seeded = [name for name, value in random_states[0].items() if random_states[1][name] == value]
    require(not seeded, f"it seeds {' and '.join(seeded)} global generator: draw from `rng`")
    return "also where the network fails"


def check_planted_evidence(trial: ExplainerTrial) -> str:
    """The map is clearly higher where the evidence lies than elsewhere, for evidence in two places.

    Dark dots lie all over the image; the network finds those inside a window only, and the more and the darker they
    are, the higher its logits. So a map that shows where the image is dark fails, as does one in which evidence counts
    against, or one made by comparison with black, which is the darkest dot of all. Controls are exempt.
    """
    skip_if(trial.traits.control, "a control explains nothing")
    case, margins = dotted_case(PLANTED_SIZE), []
    for window in WINDOWS:
        map_ = trial.map(case, scorer_of(case, planted_network(window), mask=case.fov)).double()
        inside = torch.zeros_like(case.fov)
        inside[window] = True
        there, elsewhere = map_[inside & case.fov].mean(), map_[~inside & case.fov].mean()
        deviation = map_[case.fov].std()
        rows, columns = (f"{s.start} to {s.stop - 1}" for s in window)
        require(
            there - elsewhere > CLEARLY * deviation,
            f"the network reads only rows {rows} and columns {columns}, where the map's mean is {there:.3g}; "
            f"elsewhere it is {elsewhere:.3g} (s.d. {deviation:.3g})",
        )
        margins.append(float((there - elsewhere) / deviation))
    return f"{min(margins):.1f} s.d. above the rest"


def check_zero_gradient(trial: ExplainerTrial) -> str:
    """A network whose score does not depend on the image has a legal map."""
    trial.map(scorer=scorer_of(dotted_case(), blind_network()))
    return "a legal map"


def check_target(trial: ExplainerTrial) -> str:
    """A target of three pixels has a legal map, and so has one of the whole field of view."""
    case = dotted_case()
    few = torch.zeros_like(case.fov)
    few[24, 30:33] = True
    masks = {"3 pixels": few, "all pixels": case.fov}
    _map_each(masks, lambda name: trial.map(case, scorer_of(case, mask=masks[name])))
    return ", ".join(masks)


def check_constant_picture(trial: ExplainerTrial) -> str:
    """An image that is the same everywhere has a legal map."""
    trial.map(blank_case())
    return "a legal map"


def check_labels(trial: ExplainerTrial) -> str:
    """Only a control may see labels, and only if it declares ``sees_labels``; it must read them then."""
    if not trial.traits.sees_labels:
        takes_case = trial.spec.plugin.injection.takes("case")
        require(not takes_case, "it has a parameter `case`, which brings labels, and does not declare sees_labels=True")
        return "not given any"
    case = dotted_case()
    other = replace(case, **{n: getattr(case, n).flip(0, 1) for n in ("vessels", "caliber", "observer2")})
    differs = not torch.equal(trial.first, trial.map(other, scorer_of(case)))
    require(differs, "it declares sees_labels=True, and other labels give the same map")
    return "declared, and read"


def check_sign(trial: ExplainerTrial) -> str:
    """No map in any check has negative values, unless the method declares ``signed``."""
    if trial.traits.signed:
        return "declared signed" if trial.is_declared else "a plain function may be signed"
    require(trial.lowest >= 0, f"a map has {trial.lowest:.3g} in it: declare signed=True")
    return f"nothing negative in {trial.total}"


def check_quiet(trial: ExplainerTrial) -> str:
    """Nothing is printed and no warning is raised while a map is made in any check."""
    require(not trial.output, f"it says {trial.output!r}")
    return f"in {trial.total}"


def check_cost(trial: ExplainerTrial) -> str:
    """The cost of a map of a DRIVE-sized phantom with the bundled network; it fails only beyond the limits."""
    case, model = draw_phantom(0), unet_phantom()
    scorer = Scorer(model, target("vessels", model, case))
    scorer(case.image[None])  # the first pass may measure the engine
    with measured(scorer) as spent:
        trial.map(case, scorer)
    spent_text = f"{spent.seconds:.1f} s, {spent.passes} passes, {spent.peak_mb:.0f} MB"
    if limits := trial.limits:
        is_within = spent.seconds <= limits.seconds and spent.peak_mb <= limits.peak_mb
        require(is_within, f"{spent_text}: more than {limits.seconds:g} s or {limits.peak_mb:g} MB")
    return spent_text


def _map_each(names: Iterable[str], map_of: Callable[[str], Tensor]) -> None:
    """Make a map of every subject; skip the check if the method skips one."""
    if skipped := attempt_each(names, map_of):
        raise skipped[-1]


CHECKS = checks_in(globals()) | {"some-map": some}
