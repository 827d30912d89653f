"""Zip archives that lie, lead elsewhere, or are none, given to what reads data sets from them."""

import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bad_input.archives import declaring, packed
from bad_input.judge import answer, folder, within
from bad_input.pictures import contents, damaged, saved
from bad_input.test_bad_pictures import EYE, LABEL, check_case, check_data
from xaibench import registry
from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.data.io.source import open_source, read_image
from xaibench.errors import UserError

LABEL_FILE = saved(LABEL)
GOOD = {"images/1.png": saved(EYE), "masks/1.png": LABEL_FILE}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
OUTSIDE = "../../evil.png /absolute.png C:\\windows\\x.png images\\1.png ./images/1.png images/../../../1.png"
HIDDEN = "__MACOSX/._1.png images/.DS_Store images/._1.png masks/\x1b[2J.gif"
OTHERS = "training/images/21_training.tif Image_08L.jpg inner.zip folder.png/"
names = st.sampled_from((*GOOD, *f"{OUTSIDE} {HIDDEN} {OTHERS}".split(), "a\nb.png", "x/" * 60 + "1.png", ""))
good = st.sampled_from(list(GOOD.values()))
inner = st.builds(packed, st.lists(st.tuples(names, st.one_of(good, contents)), max_size=3), st.sampled_from(METHODS))
members = st.lists(st.tuples(names, st.one_of(good, good, contents, inner)), max_size=6)
FOV = saved(EYE[..., 0] > 0)


def of_set(name: str, split: str) -> Callable[[Path], Cases]:
    return lambda path: registry.get("dataset", name)(split=split, root=str(path))  # type: ignore[no-any-return]


DRIVE = {
    "images/21_training.tif": saved(EYE),
    "1st_manual/21_manual1.gif": LABEL_FILE,
    "mask/21_training_mask.gif": FOV,
}
STARE = {"im0001.ppm": saved(EYE), "im0001.ah.ppm": LABEL_FILE, "im0001.vk.ppm": LABEL_FILE}
HRF = {"images/01_dr.JPG": saved(EYE), "manual1/01_dr.tif": LABEL_FILE, "mask/01_dr_mask.tif": FOV}
# Of each reader what it calls, and the members of an archive that it takes.
READERS: dict[str, tuple[Callable[[Path], Cases], dict[str, bytes]]] = {
    "zip: folder data set": (load_cases, GOOD),
    "zip: nested": (load_cases, {"eyes.zip": packed(GOOD.items()), "broken.zip": b"PK"}),
    "zip: drive": (of_set("drive", "training"), {f"DRIVE/training/{k}": v for k, v in DRIVE.items()}),
    "zip: chase": (of_set("chase", "all"), {"Image_08L.jpg": saved(EYE), "Image_08L_1stHO.png": LABEL_FILE}),
    "zip: stare": (of_set("stare", "all"), STARE),
    "zip: hrf": (of_set("hrf", "all"), HRF),
}


def archives(sound: dict[str, bytes]) -> st.SearchStrategy[bytes]:
    """Archives of a data set: whole, with other members, with damaged ones, with others of the same names, and lies."""
    replaced = st.dictionaries(st.sampled_from(sorted(sound)), st.one_of(good, contents), max_size=2)
    whole = st.builds(lambda more: [*sound.items(), *more.items()], replaced)
    how = st.sampled_from(METHODS)
    sizes = st.none() | st.sampled_from([0, 1, 2**31, 2**32 - 1])
    methods = st.none() | st.sampled_from([0, 8, 9, 12, 14, 95, 99])
    flags = st.sampled_from([0, 0, 1, 0x20, 0x40])
    lies = st.fixed_dictionaries({"size": sizes, "packed_size": sizes, "method": methods, "flags": flags})
    honest = st.one_of(
        st.builds(packed, st.just(list(sound.items())), how),
        st.builds(packed, whole, how),
        st.builds(lambda a, b, how: packed([*a, *b], how), whole, members, how),
    )
    return st.one_of(
        honest,
        damaged(honest),
        st.builds(packed, members, how),
        st.builds(packed, whole, how, st.sampled_from([stat.S_IFLNK | 0o777, stat.S_IFIFO, 0])),
        st.builds(lambda archive, lies: declaring(archive, **lies), honest, lies),
        st.binary(max_size=100),
        st.binary(max_size=60).map(lambda b: b"PK\x05\x06" + b),
    )


@pytest.mark.parametrize("reader", READERS)
def test_an_archive_that_is_whole(reader: str) -> None:
    read, sound = READERS[reader]
    for how in METHODS:
        with folder({"eyes.zip": packed(sound.items(), how)}) as place:
            (case,) = answer(reader, lambda: list(read(place / "eyes.zip")))
            check_case(case)


@pytest.mark.parametrize("reader", READERS)
@given(data=st.data())
def test_an_archive_of_any_content(reader: str, data: st.DataObject) -> None:
    read, sound = READERS[reader]
    with folder({"eyes.zip": data.draw(archives(sound))}) as place:
        check_data(reader, read, place / "eyes.zip")
        assert [p.name for p in place.iterdir()] == ["eyes.zip"]  # nothing is unpacked to disk


@given(st.lists(st.tuples(names, good), max_size=4))
def test_what_lies_outside_or_is_hidden_is_no_member(members: list[tuple[str, bytes]]) -> None:
    with folder({"eyes.zip": packed(members)}) as place:
        source = open_source(place / "eyes.zip")
        assert all("inner.zip in" in reason for reason in source.broken)
        for name in source.files:
            assert not name.startswith("/") and not {"..", "."} & set(name.split("/")) and "._" not in name
            assert answer("zip: members", lambda name=name: read_image(source, name)).shape == EYE.shape


def test_a_link_in_an_archive_is_not_followed() -> None:
    with folder({"eyes.zip": packed([("a.png", b"/etc/passwd")], attributes=stat.S_IFLNK | 0o777)}) as place:
        assert not open_source(place / "eyes.zip").files


def test_of_two_members_of_one_name_the_last_counts() -> None:
    with folder({"eyes.zip": packed([("a.png", saved(EYE)), ("a.png", saved(255 - EYE))])}) as place:
        np.testing.assert_array_equal(read_image(open_source(place / "eyes.zip"), "a.png"), 255 - EYE)


def bomb(how: str) -> bytes:
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join([zeros.compress(bytes(1 << 20)) for _ in range(300)] + [zeros.flush()])
    size = {"honest": 300 << 20, "huge": 2**32 - 2, "lies": 1000}[how]
    return declaring(packed([("images/1.png", body)], zipfile.ZIP_STORED), method=8, size=size)


@pytest.mark.parametrize("how", ["honest", "huge", "lies"])
def test_a_bomb_is_refused_before_it_takes_memory(how: str) -> None:
    with folder({"eyes.zip": bomb(how)}) as place:
        source = open_source(place / "eyes.zip")
        with within(100):
            assert isinstance(answer("zip: bombs", lambda: read_image(source, "images/1.png")), UserError)


def test_archives_within_archives_are_counted() -> None:
    nested = packed([("a.png", b"x")])
    for _ in range(4):
        nested = packed([(f"{i}.zip", nested) for i in range(16)])
    with folder({"eyes.zip": nested}) as place:
        source = answer("zip: bombs", lambda: open_source(place / "eyes.zip"))
        assert "more than 256 archives" in source.broken[0] and not source.files
        error = answer("zip: bombs", lambda: load_cases(place / "eyes.zip"))
        assert isinstance(error, UserError) and "256 archives" in error.message
