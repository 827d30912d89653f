"""CHASE_DB1: 28 fundus photographs of both eyes of English schoolchildren, two observers each."""

from xaibench.data.cases import Cases
from xaibench.data.datasets.local_copy import open_copy
from xaibench.registry import dataset


@dataset(
    "chase",
    title="CHASE_DB1",
    paper="fraz2012",
    licence="CC BY 4.0",
    terms="CHASE_DB1 is under CC BY 4.0: name Fraz 2012 where its images are shown.",
    source="Kingston University's research data",
    files={
        "image": r"Image_(?P<id>\d\d[LR])\.\w+",
        "vessels": r"Image_(?P<id>\d\d[LR])_1stHO\.\w+",
        "observer2": r"Image_(?P<id>\d\d[LR])_2ndHO\.\w+",
    },
    example="Image_01L.jpg",
    images=28,
    splits=("test", "training", "all"),
    default_model="unet-chase",
)
def chase(*, split: str = "test", root: str = "") -> Cases:
    """CHASE_DB1, 999 × 960 px at its native size, two observers, field of view estimated [fraz2012].

    Of all 28 images, ``training`` is the customary first 20 (children 01 to 10) and ``test`` the last 8 (11 to 14). In
    a smaller copy ``test`` is children 06 to 10 and ``training`` the others; the note of the cases says so. Both eyes
    of a child are always in the same split. ``all`` is everything.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"all"``.
        root: folder or zip archive; by default ``XAIBENCH_CHASE``, else ``data/CHASE_DB1`` in the working directory.

    Raises:
        UserError: if CHASE_DB1 is not there, an image has no label, or there is no such split.
    """
    copy = open_copy(chase, split, root)
    tested = range(6, 11) if copy.shortfall else range(11, 15)
    note = (
        f"This copy of CHASE_DB1 has {len(copy.files)} of the 28 images: the test set is children 06–10, "
        "not the customary 11–14, so figures do not compare with published ones."
    )
    chosen = copy.choose(lambda files: int(files.id[:2]) in tested)
    return copy.cases(chosen, note if copy.shortfall and copy.split != "all" else "")
