"""Tiny datasets on disk, in the layouts in which the real ones come."""

import gzip
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from PIL import Image

HRF_KINDS = ("h", "dr", "g")
HEIGHT, WIDTH = 60, 72  # unlike, so that a transposed picture is noticed


class Eye(NamedTuple):
    image: np.ndarray  # (60, 72, 3) uint8
    vessels: np.ndarray  # (60, 72) bool
    fov: np.ndarray  # (60, 72) bool


def draw_eye(number: int) -> Eye:
    """A lit disc with two vessels, another one for each number."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    fov = (y - 29.5) ** 2 + (x - 35.5) ** 2 < 27**2
    row, column = 18 + number % 12, 20 + number // 12
    vessels = np.zeros((HEIGHT, WIDTH), bool)
    vessels[row : row + 5, column:52] = True
    vessels[row + 9, column:52] = True
    image = np.where(fov[..., None], rng.integers(90, 200, (HEIGHT, WIDTH, 3)), 0).astype(np.uint8)
    image[vessels] //= 2
    return Eye(image, vessels, fov)


def save(path: Path, picture: np.ndarray) -> None:
    """Masks as black and white; GIF with a palette, as DRIVE has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    Image.fromarray(picture).save(path)


def write_drive(root: Path, *, training: Iterable[int] = (), test: Iterable[int] = (), labels: bool = True) -> Path:
    for part, numbers in (("training", training), ("test", test)):
        for n in numbers:
            eye = draw_eye(n)
            save(root / part / "images" / f"{n:02d}_{part}.tif", eye.image)
            save(root / part / "mask" / f"{n:02d}_{part}_mask.gif", eye.fov)
            if part == "training" or labels:
                save(root / part / "1st_manual" / f"{n:02d}_manual1.gif", eye.vessels)
            if part == "test" and labels:
                save(root / part / "2nd_manual" / f"{n:02d}_manual2.gif", np.roll(eye.vessels, 1, 0))
    return root


def write_chase(root: Path, children: Iterable[int]) -> Path:
    for child in children:
        for k, side in enumerate("LR"):
            eye = draw_eye(2 * child + k)
            Image.fromarray(eye.image).save(_made(root) / f"Image_{child:02d}{side}.jpg", quality=95)
            save(root / f"Image_{child:02d}{side}_1stHO.png", eye.vessels)
            save(root / f"Image_{child:02d}{side}_2ndHO.png", np.roll(eye.vessels, 1, 0))
    return root


def write_stare(root: Path, numbers: Iterable[int], unlabelled: Iterable[int] = (), zipped: bool = False) -> Path:
    """As it is packed: three folders of portable pixmaps, perhaps each compressed by itself."""
    for n in [*numbers, *unlabelled]:
        eye = draw_eye(n)
        files = {f"stare-images/im{n:04d}.ppm": eye.image}
        if n in numbers:
            files[f"labels-ah/im{n:04d}.ah.ppm"] = eye.vessels
            files[f"labels-vk/im{n:04d}.vk.ppm"] = np.roll(eye.vessels, 1, 0)
        for name, picture in files.items():
            save(root / name, picture)
            if zipped:
                (root / f"{name}.gz").write_bytes(gzip.compress((root / name).read_bytes()))
                (root / name).unlink()
    return root


def write_hrf(root: Path, numbers: Iterable[int], kinds: Iterable[str] = HRF_KINDS) -> Path:
    for kind in kinds:
        for n in numbers:
            eye = draw_eye(3 * n + HRF_KINDS.index(kind))
            Image.fromarray(eye.image).save(_made(root / "images") / f"{n:02d}_{kind}.JPG", quality=95)
            save(root / "manual1" / f"{n:02d}_{kind}.tif", eye.vessels)
            save(root / "mask" / f"{n:02d}_{kind}_mask.tif", np.repeat(eye.fov[..., None], 3, 2))
    return root


def write_folder(root: Path, names: Iterable[str], labels: str = "masks", fov: str = "fov") -> Path:
    for n, name in enumerate(names):
        eye = draw_eye(n)
        save(root / "images" / f"{name}.png", eye.image)
        save(root / labels / f"{name}.png", eye.vessels)
        if fov:
            save(root / fov / f"{name}.png", eye.fov)
    return root


def pack(folder: Path, archive: Path, top: str = "") -> Path:
    """Zip what is in a folder, below a top folder if one is named."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                out.write(path, str(Path(top) / path.relative_to(folder)))
    return archive


def cut(path: Path, share: float = 0.5) -> None:
    """Truncate a file, as an interrupted download leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


Make = SimpleNamespace  # the builders, as one fixture
WRITERS = {"drive": write_drive, "chase": write_chase, "stare": write_stare, "hrf": write_hrf, "folder": write_folder}
MAKE = Make(eye=draw_eye, save=save, pack=pack, cut=cut, **WRITERS)
