"""STARE: 20 labelled fundus photographs of an American clinic, half of them with disease, two observers each."""

from xaibench.data.cases import Cases
from xaibench.data.datasets.local_copy import open_copy
from xaibench.registry import dataset

SPLIT_NOTE = "STARE has no split of its own: the first ten images train, the last ten test."
FIRST_TESTED = 162  # the lowest number of a test image; the last ten of the 20 test


@dataset(
    "stare",
    title="STARE",
    paper="hoover2000",
    terms="STARE comes without a licence: name Hoover 2000, and ask its authors before its images are shown.",
    source="https://cecas.clemson.edu/~ahoover/stare/probing",
    files={
        "image": r"(?P<id>im\d{4})\.[a-z]+(?:\.gz)?",
        "vessels": r"(?P<id>im\d{4})\.ah\.[a-z]+(?:\.gz)?",
        "observer2": r"(?P<id>im\d{4})\.vk\.[a-z]+(?:\.gz)?",
    },
    example="im0001.ppm with im0001.ah.ppm",
    unlabelled=True,  # some 380 images
    images=20,
    splits=("test", "training", "all"),
)
def stare(*, split: str = "test", root: str = "") -> Cases:
    """STARE, 700 × 605 px at its native size, two observers, field of view estimated [hoover2000].

    The labels of Adam Hoover (``ah``) are the truth, those of Valentina Kouznetsova (``vk``) the second observer. STARE
    has no split of its own: ``training`` is the first ten of its 20 labelled images (im0001 to im0139) and ``test`` the
    last ten (im0162 to im0324), and the note of the cases says so; papers that leave one image out do not compare.
    ``all`` is everything, for a network that was trained elsewhere.

    Args:
        split: ``"test"``, ``"training"`` (or ``"train"``) or ``"all"``.
        root: folder or zip archive; by default ``XAIBENCH_STARE``, else ``data/STARE`` in the working directory.

    Raises:
        UserError: if STARE is not there, or there is no such split.
    """
    copy = open_copy(stare, split, root)
    note = "" if copy.split == "all" else SPLIT_NOTE
    return copy.cases(copy.choose(lambda files: int(files.id[2:]) >= FIRST_TESTED), f"{note} {copy.shortfall}".strip())
