"""HRF: 45 high-resolution fundus photographs, a third each of healthy, diabetic and glaucomatous eyes."""

from xaibench.data.cases import Cases
from xaibench.data.datasets.local_copy import open_copy
from xaibench.registry import dataset

TRAINED = 5  # images of each kind that train, as in [orlando2017]


@dataset(
    "hrf",
    title="HRF",
    paper="budai2013",
    licence="CC BY 4.0",
    terms="HRF is under CC BY 4.0: name Budai 2013 where its images are shown.",
    source="https://www5.cs.fau.de/research/data/fundus-images",
    files={
        "image": r"images/(?P<id>\d\d_(?:dr|g|h))\.[a-z]+",
        "vessels": r"manual1/(?P<id>\d\d_(?:dr|g|h))\.[a-z]+",
        "fov": r"mask/(?P<id>\d\d_(?:dr|g|h))(?:_mask)?\.[a-z]+",
    },
    example="images/01_dr.JPG",
    images=45,
    splits=("test", "training", "all"),
)
def hrf(*, split: str = "test", root: str = "") -> Cases:
    """HRF, 3504 × 2336 px at its native size, with field-of-view masks, one observer [budai2013].

    ``training`` is the first five images of each kind (``h`` healthy, ``dr`` diabetic retinopathy, ``g`` glaucoma) and
    ``test`` the other ten, the split of [orlando2017]; HRF has none of its own. ``all`` is everything.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"all"``.
        root: folder or zip archive; by default ``XAIBENCH_HRF``, else ``data/HRF`` in the working directory.

    Raises:
        UserError: if HRF is not there, an image has no label, or there is no such split.
    """
    copy = open_copy(hrf, split, root)
    return copy.cases(copy.choose(lambda files: int(files.id[:2]) > TRAINED), copy.shortfall)
