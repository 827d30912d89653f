"""Pictures and masks of every kind, whole and damaged, given to everything that reads them."""

import contextlib
import os
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from bad_input.judge import answer, check_sentence, folder, within
from bad_input.pictures import SIDES, contents, damaged, pixels, png_of, saved, tiff_of, whole
from xaibench.data.case import Case, make_case
from xaibench.data.case_loader import load_cases
from xaibench.data.cases import Cases
from xaibench.data.folder_check import check_folder
from xaibench.data.io.decode import Unreadable, grey_pixels, rgb_pixels
from xaibench.data.io.image import load_image
from xaibench.data.io.source import Source, open_source, read_mask
from xaibench.errors import UserError, one_line

BOMBS = {
    "PNG": png_of(50_000, 50_000),
    "PNG of one line": png_of(2**31 - 1, 1),
    "TIFF": tiff_of(50_000, 50_000),
    "TIFF of 16 bits": tiff_of(50_000, 50_000, 16),
    "TIFF of many samples": tiff_of(9_000, 9_000, 16, 60_000),
    "TIFF of a packed strip": tiff_of(64, 64, 16, 1, zlib.compress(bytes(400 << 20)), 8),
    "WebP": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f" + bytes(9),
    "GIF": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\x02\x4c\x01\0;",
    "PPM": b"P6 50000 50000 255\n\0\0\0",
    "BMP": b"BM" + bytes(12) + struct.pack("<IIIHH", 40, 50_000, 50_000, 1, 24) + bytes(24),
}


@given(contents)
@example(b"")
@example(tiff_of(3, 2, 16, 1, bytes(12)))
def test_the_pixels_of_any_content(content: bytes) -> None:
    for reader, read, channels in (("picture: colour", rgb_pixels, 3), ("picture: grey", grey_pixels, 0)):
        found = answer(reader, lambda read=read: read(content), Unreadable)
        if not isinstance(found, Exception):
            assert found.dtype == np.uint8 and found.shape[2:] == (channels,) * bool(channels) and found.size


@pytest.mark.parametrize("form", BOMBS)
def test_a_bomb_is_refused_before_it_takes_memory(form: str) -> None:
    with within(100):
        for read in (rgb_pixels, grey_pixels):
            if read is grey_pixels and form == "TIFF of a packed strip":
                continue  # which Pillow reads as far as its size goes
            assert isinstance(answer("picture: bombs", lambda read=read: read(BOMBS[form]), Unreadable), Unreadable)


FILES = [*b"eye.png eye eye.zip eye.jpg.exe \xff\xfe.png -x.png \x1b[2J.png".split(), b"a\nb.tif", b"x" * 250]
NAMES = st.sampled_from(FILES) | (
    st.binary(min_size=1, max_size=30)
    .map(lambda b: b.replace(b"/", b"").replace(b"\0", b"") or b"x")
    .filter(lambda b: b not in (b".", b".."))
)


@given(contents, NAMES)
def test_a_photograph_of_any_content_and_name(content: bytes, name: bytes) -> None:
    with folder({os.fsdecode(name): content}) as place:
        found = answer("load_image", lambda: load_image(place / os.fsdecode(name)))
        if isinstance(found, Case):
            check_case(found)
            assert not found.labelled
        else:
            assert isinstance(found, UserError)


WORDS = ["~nobody/x.png", "\0", "x" * 5000, "a/" * 3000, "", ".", "/", "~", "\udcff"]


@given(st.text(max_size=40) | st.sampled_from(WORDS))
def test_a_photograph_by_any_words(words: str) -> None:
    answer("load_image: paths", lambda: load_image(words))


@given(
    SIDES,
    SIDES,
    st.sampled_from(["uint8", "uint8", "float32", "float64", "uint16", "bool", "int32", "object", "<U3"]),
    st.sampled_from([3, 3, 3, 1, 4]),
    st.booleans(),
    st.sampled_from(["noise", "noise", "zero", "nan", "inf", "negative"]),
    st.sampled_from([None, "bool", "uint8", "float64"]),
    st.sampled_from(["a\x1b[2Jb", "a\nb", "\udcff"]),
)
@example(9, 9, "uint8", 3, False, "noise", None, "a\x1b[2Jb")
@example(9, 9, "uint8", 3, False, "noise", None, "a\nb")
@example(9, 9, "uint8", 3, False, "noise", None, "\udcff")
def test_a_case_of_any_arrays(
    h: int, w: int, dtype: str, channels: int, first: bool, fill: str, mask: str | None, name: str
) -> None:
    image = pixels(h, w, channels, "float64" if dtype in ("object", "<U3") else dtype, fill, 0).astype(dtype)
    image = np.moveaxis(image, 2, 0) if first else image
    vessels = None if mask is None else pixels(h, w, 1, mask, fill, 1)[..., 0]
    found = answer("make_case", lambda: make_case(name, image, vessels))
    if isinstance(found, Case):
        check_case(found)


def check_case(case: Case) -> None:
    """What is read can be worked with."""
    assert case.image.ndim == 3 and case.image.shape[0] == 3 and case.image.numel()
    assert float(case.image.min()) >= 0 and float(case.image.max()) <= 1  # which NaN is not
    assert case.vessels.shape == case.fov.shape == case.caliber.shape == case.image.shape[1:]
    assert case.fov.any() and 0 < case.scale < 1e6
    case.id.encode()
    assert case.id.isprintable() and len(case.digest) == 16


@st.composite
def masks(draw: st.DrawFn) -> bytes:
    h, w = draw(SIDES), draw(SIDES)
    kind = draw(st.sampled_from(["empty", "full", "vessels", "inverted", "grey", "ones", "dim"]))
    base = np.random.default_rng(draw(st.integers(0, 9))).random((h, w)) < 0.13
    values = {
        "empty": np.zeros((h, w)),
        "full": np.full((h, w), 255),
        "vessels": base * 255,
        "inverted": ~base * 255,
        "grey": np.arange(h * w).reshape(h, w) % 256,
        "ones": base,
        "dim": base * 100,
    }[kind].astype(np.uint8)
    form = draw(st.sampled_from(["PNG", "GIF", "TIFF", "BMP", "JPEG", "PPM"]))
    image = Image.fromarray(values)
    return saved(image.convert("P") if form in ("GIF", "PNG") and draw(st.booleans()) else image, form)


@given(st.one_of(masks(), damaged(masks()), whole))
def test_a_mask_of_any_content(content: bytes) -> None:
    with folder({"mask.png": content}) as place:
        source = Source(place, {"mask.png": (place / "mask.png", ())})
        found = answer("read_mask", lambda: read_mask(source, "mask.png"))
        if not isinstance(found, Exception):
            assert found.dtype == bool and found.ndim == 2 and found.size


# One photograph with room for a disc, so that some of the folders are good ones.
EYE = np.where((np.indices((61, 61)) - 30 < 28).all(0)[..., None], 120, 0).repeat(3, 2).astype(np.uint8)
PLAIN = "images/1.png masks/1.png fov/1.png 1.png 1_mask.png 1_fov.png images/2.tif masks/2.gif notes.txt"
DRIVE = "training/images/21_training.tif training/1st_manual/21_manual1.gif training/mask/21_training_mask.gif"
OTHERS = "Image_01L.jpg Image_01L_1stHO.png .hidden/1.png __MACOSX/._1.png images/.DS_Store deep/er/still/images/1.png"
PLACES = (*f"{PLAIN} {DRIVE} {OTHERS}".split(), "masks/\n.png", "images/\udcff.png")
LABEL = (EYE[..., 0] > 60) & (np.indices((61, 61))[0] % 9 == 4)
good = st.sampled_from([saved(EYE), saved(LABEL), saved(EYE[..., 0] > 0)])
file = good | masks()
sets = st.one_of(
    st.fixed_dictionaries({"images/1.png": file, "masks/1.png": file}),
    st.fixed_dictionaries({"1.png": file, "1_mask.png": file, "1_fov.png": file}),
    st.fixed_dictionaries({"Image_08L.jpg": file, "Image_08L_1stHO.png": file}),
)
anything = st.dictionaries(st.sampled_from(PLACES), st.one_of(good, good, masks(), contents), max_size=6)


def check_data(reader: str, read: Callable[[Path], Cases], place: Path) -> None:
    """Every case that is read is sound, and the check of the folder has sentences for what is wrong."""
    found = answer(reader, lambda: list(read(place)))
    for case in [] if isinstance(found, Exception) else found:
        check_case(case)
    report = answer("data check", lambda: check_folder(place))
    if not isinstance(report, UserError):
        assert report.facts
        for line in (*report.facts, *report.problems):
            check_sentence(one_line(line))


@given(st.one_of(anything, sets, st.builds(lambda a, b: a | b, anything, sets)))
def test_a_folder_of_any_files(files: dict[str, bytes]) -> None:
    with folder(files) as place:
        check_data("folder data set", load_cases, place)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "loop": lambda path: path.symlink_to(path),
    "self": lambda path: path.symlink_to(path.parents[1]),
    "folder": Path.mkdir,
    "gone": lambda path: path.symlink_to("nowhere"),
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "huge": huge,
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_passed_over_and_never_waited_for(kind: str) -> None:
    with folder({"images/notes.txt": b""}) as place:
        image, archive = place / "images" / "1.png", place / "eyes.zip"
        NO_FILES[kind](image)
        assert isinstance(answer("load_image", lambda: load_image(image)), UserError)
        assert isinstance(answer("folder data set", lambda: list(load_cases(place))), UserError)
        NO_FILES[kind](archive)
        assert isinstance(answer("zip: folder data set", lambda: load_cases(archive)), UserError)


def test_links_that_lead_back_are_followed_once() -> None:
    with folder({"images/1.png": saved(EYE)}) as place:
        for name in "abcdefgh":
            (place / name).symlink_to(place)
            (place / "images" / name).symlink_to(place)
        assert list(answer("folder data set", lambda: open_source(place)).files) == ["images/1.png"]


def test_a_whole_disk_is_no_folder_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaibench.data.io.source._MOST_ENTRIES", 3)
    with folder({f"{name}/x": b"" for name in "abcd"}) as place, pytest.raises(UserError, match="more than 3 files"):
        open_source(place)


def test_a_pipe_that_someone_writes_to_is_not_read() -> None:
    with folder() as place:
        os.mkfifo(place / "a.png")

        def write() -> None:
            with contextlib.suppress(BrokenPipeError):
                (place / "a.png").write_bytes(b"x")

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        assert isinstance(answer("load_image", lambda: load_image(place / "a.png")), UserError)
        reader = os.open(place / "a.png", os.O_RDONLY | os.O_NONBLOCK)  # lets the writer go
        writer.join(5)
        os.close(reader)
        assert not writer.is_alive()
