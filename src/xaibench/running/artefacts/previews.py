"""Keeping what a report shows of the images in the run's folder, so that it can be read without the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from torch import nn

from xaibench.data.case import Case
from xaibench.models.evaluate import predict
from xaibench.record.artefact_files import Picture, load_picture, picture_key, write_picture
from xaibench.record.store import Store
from xaibench.scorer.batching import evaluating


def picture_of(case: Case, model: nn.Module) -> Picture:
    """The case and the network's prediction of it, one pass."""
    with evaluating(model):
        prediction = predict(model, case.image).numpy()
    return Picture(
        image=_bytes(case.image.permute(1, 2, 0).numpy()),
        fov=case.fov.numpy(),
        vessels=case.vessels.numpy(),
        thin=case.thin.numpy(),
        caliber=case.caliber.numpy().astype(np.float16),
        prediction=_bytes(prediction),
    )


def keeping_pictures(
    store: Store, cases: Iterable[Case], model: nn.Module, weights_digest: str, *, force: bool = False
) -> Iterator[Case]:
    """The cases one after the other, each with its picture kept by then.

    Args:
        store: where; a picture that is there already stays.
        cases: any.
        model: asked for its prediction where the picture is missing.
        weights_digest: content digest of its weights.
        force: write also what is there.

    Raises:
        UserError: if the folder cannot be written.
    """
    for case in cases:
        key = picture_key(case.digest, weights_digest)
        if force or load_picture(store, key) is None:
            write_picture(store, key, picture_of(case, model))
        yield case


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), np.uint8)
