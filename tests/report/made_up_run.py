"""A run's folder made up of numbers, so that a report can be written without a network."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from leaderboard.synthetic import record

from xaibench.record import Store
from xaibench.record.artefact_files import Film, Picture, film_key, picture_key, write_film, write_picture
from xaibench.record.manifest import Manifest
from xaibench.report.sections.removal_frames import FILL, STEPS

NASTY = "<script>alert('method')</script>&$x_2"
NASTY_CASE = '"><img src=x onerror=alert(1)>'
METHODS = {"good[layer=decoder-1/2]": 0.9, "fair": 0.6, NASTY: 0.3}
CONTROLS = {"prediction": 0.7, "frangi": 0.4, "random": 0.0, "vessels-oracle": 0.65}
ABOUT = {"dataset": "made-up", "model": "net", "weights_digest": "weights0123456", "passes": 1}
ABOUT |= {"distribution": "made-up", "version": "1"}
HEIGHT, WIDTH = 40, 50
SHARES = np.sin(np.pi * np.arange(STEPS + 1) / (2 * STEPS)) ** 2
COLUMNS = {  # metric: better, family, value on an image of a method of that quality
    "srg[steps=10]": ("higher", "faithfulness", lambda q: q),
    "srg-thin": ("higher", "faithfulness", lambda q: 0.8 - 0.7 * q),  # on thin vessels it is the other way round
    "srg-thick": ("higher", "faithfulness", lambda q: 0.9 * q),
    "deletion[steps=10]": ("lower", "faithfulness", lambda q: 0.5 - 0.4 * q),
    "insertion[steps=10]": ("higher", "faithfulness", lambda q: 0.5 + 0.4 * q),
    "auroc-thin": ("higher", "overlap", lambda q: 0.5 + 0.4 * q),
    "auroc-thick": ("higher", "overlap", lambda q: 0.5 + 0.45 * q),
    "thin-gap": ("zero", "overlap", lambda q: 1 - q),
    "caliber-response": ("zero", "overlap", lambda q: 1 - q),
    "contrast-response": ("none", "overlap", lambda q: q),
    "sparseness": ("none", "complexity", lambda q: q / 2),
}


def vessels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Field of view, vessels and thin vessels, each (H, W) bool."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    fov = (y - HEIGHT / 2) ** 2 + (x - WIDTH / 2) ** 2 < 19**2
    thick = (np.abs(y - 20) < 3) & fov
    thin = (x == 25) & fov & ~thick
    return fov, thick | thin, thin


def curve_of(metric: str, quality: float, image: int) -> dict[str, list[float]] | None:
    x = SHARES
    if metric.startswith("deletion"):
        return {"x": x.tolist(), "y": ((1 - x) ** (1 + 9 * quality) + 0.01 * image * x * (1 - x)).tolist()}
    if metric.startswith("insertion"):
        return {"x": x.tolist(), "y": (1 - (1 - x) ** (1 + 9 * quality)).tolist()}
    if metric == "caliber-response":  # the last image has no wide vessels
        width = range(1, 5 if image == 6 else 6)
        return {"x": [float(w) for w in width], "y": [1 + quality * w for w in width]}
    if metric == "contrast-response":
        return {"x": [0.05 * (k + image / 10) for k in range(10)], "y": [1 + quality * k for k in range(10)]}
    return None


def write_made_up_run(
    root: Path,
    *,
    images: int = 7,
    targets: Sequence[str] = ("vessels", "thin"),
    pictures: bool = True,
    films: bool = True,
    seed: int = 0,
) -> Store:
    """Write a run in which ``good`` is best for all and for thick vessels and the nasty one for thin ones."""
    rng = np.random.default_rng(seed)
    store = Store(root)
    fov, all_vessels, thin = vessels()
    cases = [*(f"0{i}" for i in range(images - 1)), NASTY_CASE]
    for target, (i, case) in itertools.product(targets, enumerate(cases)):
        digest = f"case{i:012d}"
        for method, quality in (METHODS | CONTROLS).items():
            lost = method == "fair" and i == 0
            values = {m: float(of(quality) + 0.002 * i + 0.001 * rng.normal()) for m, (_, _, of) in COLUMNS.items()}
            details = {
                m: {"better": better, "family": family, "low": -math.inf, "high": math.inf}
                | {"curve": curve_of(m, quality, i)}
                for m, (better, family, _) in COLUMNS.items()
            }
            if lost:
                details["sparseness"] |= {"reason": f"ValueError: {NASTY_CASE}"}
            made = record(
                method,
                case,
                values | ({"sparseness": None} if lost else {}),
                details=details,
                case_digest=digest,
                target=target,
                control=method in CONTROLS,
                signed=method == "fair",
                seconds=0.1 + quality,
                **ABOUT,
            )
            noise = np.abs(rng.normal(size=fov.shape)) * (-1 if method == "fair" else 1)
            store.write(made, quality * all_vessels + (1 - quality) * noise)
            if films and method in ("good[layer=decoder-1/2]", NASTY, "prediction"):
                write_film(store, film_key(made.map_key, FILL, STEPS), film())
        if pictures:
            image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            caliber = np.where(all_vessels, 2.0, 0).astype(np.float16)
            picture = Picture(image, fov, all_vessels, thin, caliber, (255 * all_vessels).astype(np.uint8))
            write_picture(store, picture_key(digest, "weights0123456"), picture)
    store.write_run(
        Manifest(
            command=f"xaibench run --method '{NASTY}'",
            dataset="made-up",
            split="test",
            cases=cases,
            model="net",
            versions={"python": "3.11", "xaibench": "0.1"},
            machine={"system": "Linux"},
            device="cpu",
        )
    )
    return store


def film() -> Film:
    grey = np.linspace(0, 255, STEPS + 1).astype(np.uint8)[:, None, None, None]
    pictures = np.tile(grey, (1, 16, 20, 3))
    return Film(SHARES, pictures, pictures[..., 0].copy(), np.linspace(0.9, 0.1, STEPS + 1))
