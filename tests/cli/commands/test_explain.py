"""One image from the command line to a picture."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from cli.said import Run
from xaibench.data.phantom.draw import draw_phantom

SIGNATURES = {"png": b"\x89PNG", "jpg": b"\xff\xd8\xff", "jpeg": b"\xff\xd8\xff", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """(128, 128, 3) uint8 of a phantom."""
    return (draw_phantom(0, (128, 128)).image.numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)


@pytest.fixture
def photo(tmp_path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_one_method(xaibench: Run, photo: Path, weights: Path) -> None:
    before = photo.read_bytes()
    said = xaibench("explain", photo, "--method", "gradcam[layer=decoder-1/2]", "--model", weights)
    assert said.code == 0 and said.out == "Written to photo-gradcam-layer-decoder-1-2.png.\n"
    assert "photo.png: 128 × 128 px, field of view 1" in said.err
    drawn = Image.open("photo-gradcam-layer-decoder-1-2.png")
    assert min(drawn.size) >= 800 and len(drawn.convert("RGB").getcolors(1 << 24) or ()) > 300
    assert "photo.png, model " in drawn.info["Description"] and photo.read_bytes() == before
    assert sorted(p.name for p in Path().iterdir()) == ["photo-gradcam-layer-decoder-1-2.png", "photo.png"]


@pytest.mark.parametrize("form", sorted(SIGNATURES))
def test_each_format_is_what_it_says_and_the_same_again(xaibench: Run, photo: Path, weights: Path, form: str) -> None:
    name = "ph$o_{$to 漢é %s.png"  # which is no formula
    photo.rename(name)
    contents = []
    for _ in range(2):
        options = ("--method", "saliency,random", "--model", weights, "--out", f"sub/figure.{form}", "--force", "-q")
        said = xaibench("explain", name, *options)
        assert (said.code, said.err) == (0, "")
        contents.append(Path(f"sub/figure.{form}").read_bytes())
    assert contents[0].startswith(SIGNATURES[form]) and contents[0] == contents[1]


def test_methods_stand_side_by_side(xaibench: Run, photo: Path, weights: Path) -> None:
    said = xaibench(
        *("explain", photo, "--method", "gradcam,lime[segments=5,samples=8]", "--method", "saliency"),
        *("--method", "gradcam", "--model", weights, "--out", "figure.svg"),
    )
    assert said.code == 0
    text = Path("figure.svg").read_text()
    assert "gradcam, lime[segments=5,samples=8], saliency of vessels" in text
    assert text.count("<image") == 5 + 1  # image, prediction, three methods once each, and one colour bar


def test_a_picture_of_any_kind_gives_the_same(xaibench: Run, pixels: np.ndarray, weights: Path) -> None:
    """A turned, a deep, a transparent and a misnamed twin are explained as the plain picture is."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save("plain.png")
    Image.fromarray(np.rot90(pixels).copy()).save("turned.png", exif=exif)
    tifffile.imwrite("deep.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    Image.fromarray(np.dstack([pixels, np.full((128, 128), 255, np.uint8)])).save("opaque.png")
    Path("misnamed.jpg").write_bytes(Path("plain.png").read_bytes())
    drawn = []
    for name in ("plain.png", "turned.png", "deep.tif", "opaque.png", "misnamed.jpg"):
        Path("same").mkdir(exist_ok=True)
        Path("same/photo").write_bytes(Path(name).read_bytes())
        said = xaibench("explain", "same/photo", "--method", "saliency", "--model", weights, "--force", "-q")
        assert said.code == 0
        drawn.append(Path("photo-saliency.png").read_bytes())
    assert len(set(drawn)) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.sampled_from([1, 2, 7, 37, 61]),
    width=st.sampled_from([1, 3, 8, 31, 67]),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"]),
    level=st.sampled_from([0, 128, 255, None]),
    target=st.sampled_from(["vessels", "thin", "thick"]),
)
def test_every_picture_gives_a_figure_or_one_sentence(
    xaibench: Run, weights: Path, height: int, width: int, mode: str, level: int | None, target: str
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    base = Image.fromarray(values if level is None else np.full_like(values, level))
    picture = base.convert("L").convert(mode) if mode in ("I;16", "F") else base.convert(mode)
    picture.save("any.tif")
    options = ("--method", "saliency,gradcam", "--target", target, "--model", weights, "--force", "--out", "any.png")
    Path("any.png").unlink(missing_ok=True)
    said = xaibench("explain", "any.tif", *options, "-q")
    assert "Traceback" not in said.err
    if said.code == 0:
        assert said.err == "" and min(Image.open("any.png").size) > 100
    else:
        assert said.code == 2 and len(said.err.splitlines()) == 1 and not Path("any.png").exists()


def blind() -> nn.Module:
    """A network that finds no vessel anywhere."""
    network = nn.Conv2d(3, 1, 1)
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, -5.0)
    return network


BLIND = ("photo.png", "--method", "saliency", "--model", f"{__name__}:blind")
NOTHING = f"{__name__}:blind finds no {{}} in photo.png, so there is nothing to explain."


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["phto.png", "--method", "saliency"], "There is no file phto.png. Did you mean photo.png?"),
        ([".", "--method", "saliency"], ". is a folder, not an image. Give one of those in it, such as "),
        (["notes.txt", "--method", "saliency"], "it is no image"),
        (["photo.png"], "Missing: --method."),
        (["photo.png", "--method", "salienci"], "There is no explainer called 'salienci'. Did you mean saliency"),
        (["photo.png", "--method", "saliency,"], "--method: a name is missing in 'saliency,'."),
        (["photo.png", "--method", "saliency,vessels-oracle"], "vessels-oracle reads the labels, and photo.png has"),
        (["photo.png", "--method", "second-observer"], "second-observer reads the labels, and photo.png has none."),
        (["photo.png", "--method", "saliency", "--target", "false-positives"], "compares with labels, and photo.png"),
        (["photo.png", "--method", "saliency", "--target", "false-negatives"], "compares with labels, and photo.png"),
        (["photo.png", "--method", "saliency", "--out", "x.bmp"], "x.bmp does not end in .png, .pdf, .svg, .jpg or"),
        (["photo.png", "--method", "saliency", "--out", "x"], "x does not end in .png"),
        (["photo.png", "--method", "saliency", "--out", "photo.png", "--force"], "is the image itself"),
        (["photo.png", "--method", "saliency", "--out", "link.png", "--force"], "is the image itself"),
        (["photo.png", "--method", "saliency", "--out", "there.png"], "there.png exists already."),
        (["photo.png", "--method", "saliency", "--device", "cuda:99"], "cuda:99 was asked for"),
        (["photo.png", "--method", "gradcam[layer=nowhere]"], "nowhere"),
        ([*BLIND, "--target", "vessels"], f"{NOTHING.format('vessel')} Is it a fundus photograph?"),
        ([*BLIND, "--target", "thin"], f"{NOTHING.format('thin vessel')} Try --target vessels."),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    xaibench: Run, photo: Path, weights: Path, options: list[str], words: str
) -> None:
    Path("notes.txt").write_text("no picture")
    Path("there.png").write_text("something")
    os.link("photo.png", "link.png")
    said = xaibench("explain", "--model", weights, "-q", *options)
    assert said.code == 2 and words in said.err and len(said.err.splitlines()) == 1 and said.out == ""
    assert Path("there.png").read_text() == "something" and Image.open("photo.png").size == (128, 128)


def test_a_method_that_fails_leaves_the_others(xaibench: Run, photo: Path, weights: Path, unusual: None) -> None:
    said = xaibench("explain", photo, "--method", "boom,picky,saliency", "--model", weights)
    assert said.code == 1 and Path("photo-boom-picky-saliency.png").exists()
    assert "boom failed: RuntimeError: no such thing as a map." in said.err
    assert "picky cannot work here: the moon is full." in said.err
    said = xaibench("explain", photo, "--method", "picky", "--model", weights, "-q")
    assert said.code == 2 and "picky cannot work here: the moon is full." in said.err
    said = xaibench("explain", photo, "--method", "boom", "--model", weights, "-q")
    assert said.code == 1 and "no such thing as a map" in said.err


def test_another_scale_than_the_network_knows_is_said(xaibench: Run, photo: Path) -> None:
    said = xaibench("explain", photo, "--method", "saliency", "--model", "unet-phantom")
    assert re.search(r"trained on fields of view 540 px across, this one has 1\d\d: it may", said.err)
