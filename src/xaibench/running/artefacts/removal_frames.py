"""Films of removal for a report: a few maps of a finished run, whose data and network are looked up again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from xaibench.data.case import Case
from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.errors import Skipped, UserError
from xaibench.metrics.faithfulness.pixel_flipping import fractions, removal_orders, seeded_fill, tie_order
from xaibench.models.model_loader import load_model, names_code
from xaibench.models.precision import digest_in, in_precision
from xaibench.models.weights_file import weights_digest
from xaibench.record.artefact_files import Film, film_key, load_film, write_film
from xaibench.record.manifest import Manifest
from xaibench.record.schema import Record
from xaibench.record.store import Store
from xaibench.running.resolve import default_model
from xaibench.running.rng import generator_of
from xaibench.scorer import Scorer, target
from xaibench.vocabulary import PRECISIONS

SIDE = 256  # longest side of a frame, px


def film_of(
    attribution: np.ndarray, case: Case, scorer: Scorer, *, rng: np.random.Generator, fill: str, steps: int
) -> Film:
    """What is left of an image, and what the network still finds, as the most attributed pixels are removed first.

    The pictures are those of the metric ``deletion``, given the same ``rng``.

    Args:
        attribution: (H, W).
        case: the image.
        scorer: network and target.
        rng: orders ties and draws the fill's noise.
        fill: see :func:`~xaibench.imputation.fills.prepare_fill`.
        steps: between nothing and everything removed.
    """
    seed = int(rng.integers(2**63))
    fov, filler = case.fov.numpy(), seeded_fill(case, fill, seed)
    order, _ = removal_orders(np.asarray(attribution, np.float32), fov, tie_order(fov, seed))
    shares = fractions(steps)
    pictures, predictions, probability = [], [], []
    for share in shares:
        removed = np.zeros(fov.shape, bool)
        removed.ravel()[order[: round(share * order.size)]] = True
        picture = torch.from_numpy(np.ascontiguousarray(filler(removed), np.float32))[None]
        found = scorer.batched_logits(picture).sigmoid()
        probability.append(float(scorer.mean_over_target(found)[0]))
        pictures.append(_small(picture)[0].transpose(1, 2, 0))
        predictions.append(_small(found * case.fov.to(found.device))[0, 0])  # what lies outside counts for nothing
    return Film(shares, np.stack(pictures), np.stack(predictions), np.array(probability))


def make_films(
    store: Store,
    wanted: Sequence[Record],
    *,
    fill: str,
    steps: int,
    network: str | Path | None = None,
    report: Callable[[str, bool], object] = lambda film, kept: None,
) -> list[str]:
    """Compute and keep the films that are missing.

    Args:
        store: the run's folder, which says what data and network it was about.
        wanted: whose; a record without a map is passed over.
        fill, steps: see :func:`film_of`.
        network: names the network; what the run itself names by default, unless that is code.
        report: called with the name of each film when it is there, and whether it was there before.

    Returns:
        Why films are missing, each distinct reason once; empty if none is.
    """
    reasons: dict[str, None] = {}
    todo: dict[tuple[str, str], list[Record]] = {}
    for r in wanted:
        if load_film(store, film_key(r.map_key, fill, steps)) is not None:
            report(_name(r), True)
        elif r.status == "ok":
            todo.setdefault((r.case, r.target), []).append(r)
    if not todo:
        return []
    try:
        cases, model = _source(store.read_run(), network)
    except (UserError, OSError) as error:
        return [str(error)]
    digest = weights_digest(model)
    for (_, name), records in todo.items():
        try:
            case = _case(cases, records[0])
            precise = _network(model, digest, records[0])
            scorer = Scorer(precise, target(name, precise, case))
        except (UserError, Skipped) as error:
            reasons[str(error)] = None
            continue
        for r in records:
            attribution = store.load_map(r)
            if attribution is None:
                gone = f"the map of {_name(r)} is lost"
                reasons["a published run holds no maps" if store.published else gone] = None
                continue
            film = film_of(attribution, case, scorer, rng=generator_of(r.seed, case), fill=fill, steps=steps)
            write_film(store, film_key(r.map_key, fill, steps), film)
            report(_name(r), False)
    return list(reasons)


def _name(r: Record) -> str:
    return f"{r.spec} on {r.case}"


def _source(run: Manifest, network: str | Path | None) -> tuple[Cases, nn.Module]:
    """The data and the network that a run names.

    Raises:
        UserError: if it does not name them, they are not where it says, or it says to run code: a run's folder can be
            anyone's.
    """
    data, split, dataset = run.data, run.split, run.dataset or ""
    named = network
    if network is None and run.network is not None:
        named = run.network if isinstance(run.network, str) and run.network else default_model(dataset)
        if names_code(named):
            raise UserError(
                f"The run's network is made by code, {named}, which is not run because a folder says so.",
                f"Give --model {named} if it is yours.",
            )
    if not data or named is None:
        raise UserError("The run does not say where its images and network can be had again.")
    return load_cases(data, split=split or "test"), load_model(named)


def _network(model: nn.Module, digest: str, r: Record) -> nn.Module:
    """The network in the precision that the record was made in."""
    precisions = {digest_in(digest, p): p for p in PRECISIONS}
    if r.weights_digest not in precisions:
        raise Skipped(f"the weights of {r.model} are not those of the run any more")
    return in_precision(model, precisions[r.weights_digest])


def _case(cases: Cases, r: Record) -> Case:
    if r.case not in cases.ids:
        raise UserError(f"The image {r.case} is not in the run's data any more.")
    case = cases.load(r.case)
    if case.digest != r.case_digest:
        raise UserError(f"The image {r.case} is not what it was when the run was made.")
    return case


def _small(pictures: Tensor) -> np.ndarray:
    """(N, C, h, w) uint8 of (N, C, H, W) in [0, 1]."""
    factor = SIDE / max(pictures.shape[-2:])
    if factor < 1:
        size = [max(1, round(s * factor)) for s in pictures.shape[-2:]]
        pictures = interpolate(pictures, size=size, mode="area")
    return np.asarray((pictures.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
