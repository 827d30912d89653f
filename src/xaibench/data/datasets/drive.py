"""DRIVE: 40 fundus photographs of a Dutch screening programme, 20 for training and 20 for testing."""

from xaibench.data.cases import Cases
from xaibench.data.datasets.case_files import CaseFiles
from xaibench.data.datasets.local_copy import open_copy
from xaibench.errors import UserError
from xaibench.registry import dataset

STAND_IN = ("36", "37", "38", "39", "40")  # training images that stand in for a test part without labels
VALIDATION = ("31", "32", "33", "34", "35")
_PART = "(?P<part>training|test)"


@dataset(
    "drive",
    title="DRIVE",
    paper="staal2004",
    terms="DRIVE's terms forbid redistribution of its images and labels: what shows them must not be passed on or "
    "published. Figures and weights may be.",
    source="https://drive.grand-challenge.org (free, registration)",
    files={
        "image": rf"{_PART}/images/(?P<id>\d\d)_[^/]*",
        "vessels": rf"{_PART}/1st_manual/(?P<id>\d\d)_[^/]*",
        "fov": rf"{_PART}/mask/(?P<id>\d\d)_[^/]*",
        "observer2": rf"{_PART}/2nd_manual/(?P<id>\d\d)_[^/]*",
    },
    example="training/images/21_training.tif or test/images/01_test.tif",
    images=40,
    splits=("test", "training", "validation"),
)
def drive(*, split: str = "test", root: str = "") -> Cases:
    """DRIVE, 565 × 584 px, with field-of-view masks and, on the test part, a second observer [staal2004].

    ``training`` is images 21 to 40, ``test`` is 01 to 20, ``validation`` is 31 to 35, which are also in ``training``.
    Where the test part has no labels, as in today's download, ``test`` is 36 to 40 instead and ``training`` is 21 to
    35; the note of the cases says so.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"validation"``.
        root: folder or zip archive; by default ``XAIBENCH_DRIVE``, else ``data/DRIVE`` in the working directory.

    Raises:
        UserError: if DRIVE is not there or not complete, or there is no such split.
    """
    copy = open_copy(drive, split, root)
    chosen, note = _choose(copy.split, copy.files)
    for files in chosen:
        if files.image is not None and files.fov is None:
            raise UserError(
                f"The DRIVE image {files.image} in {copy.source.root} has no field-of-view mask.", "Unpack DRIVE anew."
            )
    return copy.cases(chosen, note)


def _choose(split: str, files: list[CaseFiles]) -> tuple[list[CaseFiles], str]:
    """The files of a split, and what the user should know about it."""
    training, test = ([case for case in files if case.part == part] for part in ("training", "test"))
    if split == "validation":
        note = "DRIVE has no validation part: images 31–35 are used, which also belong to the training split."
        return [case for case in training if case.id in VALIDATION], note
    if any(case.vessels for case in test):
        chosen = test if split == "test" else training
        return chosen, f"Only {len(chosen)} of the 20 {split} images of DRIVE are there." if len(chosen) < 20 else ""
    if split == "training":
        note = "This copy of DRIVE has no test labels: training images 36–40 are kept for testing, the others train."
        return [case for case in training if case.id not in STAND_IN], note
    note = (
        "This copy of DRIVE has no test labels: training images 36–40 stand in for the test set, so figures do not "
        "compare with published ones, and a network trained on all of 21–40, such as unet-drive, has seen them."
    )
    return [case for case in training if case.id in STAND_IN], note
