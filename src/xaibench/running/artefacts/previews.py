"""Previews: what a report shows of each image, stored in the run's folder so that no data is needed to read it."""

from collections.abc import Iterator

import numpy as np
from torch import nn

from xaibench.data.case import Case
from xaibench.models.evaluate import predict
from xaibench.record.artefact_files import Picture, load_picture, picture_key, write_picture
from xaibench.running.resolve import Run
from xaibench.scorer.batching import evaluating


def preview_of(case: Case, model: nn.Module) -> Picture:
    """The image, its labels and the network's prediction, which takes one pass."""
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


def storing_previews(run: Run) -> Iterator[Case]:
    """The images of a run one after the other, each once its preview is stored.

    A preview that is stored already stays, unless the run is forced.

    Raises:
        UserError: if the folder cannot be written.
    """
    for case in run.cases:
        key = picture_key(case.digest, run.setting.weights_digest)
        if run.options.force or load_picture(run.store, key) is None:
            write_picture(run.store, key, preview_of(case, run.model))
        yield case


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), np.uint8)
