from pathlib import Path

import numpy as np

from xaibench.record import Store
from xaibench.record.artefact_files import Film, Picture, film_key, load_film, load_picture, write_film, write_picture

RNG = np.random.default_rng(0)


def a_picture() -> Picture:
    vessels = RNG.random((6, 8)) < 0.5
    thin = vessels & (RNG.random((6, 8)) < 0.5)
    image, prediction = (RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((6, 8, 3), (6, 8)))
    return Picture(image, np.ones((6, 8), bool), vessels, thin, (2 * vessels).astype(np.float16), prediction)


def test_a_picture_comes_back(tmp_path: Path) -> None:
    store, picture = Store(tmp_path), a_picture()
    write_picture(store, "abc", picture)
    back = load_picture(store, "abc")
    assert back is not None and (tmp_path / "pictures" / "ab" / "abc.npz").is_file()
    for name, array in vars(picture).items():
        assert (getattr(back, name) == array).all() and getattr(back, name).dtype == array.dtype
    assert (back.thick == picture.vessels & ~picture.thin).all()


def test_a_film_comes_back_and_its_name_says_how_it_was_made(tmp_path: Path) -> None:
    store = Store(tmp_path)
    film = Film(np.array([0, 1.0]), np.zeros((2, 3, 4, 3), np.uint8), np.ones((2, 3, 4), np.uint8), np.array([0.9, 0]))
    write_film(store, film_key("k", "mean", 1), film)
    assert (load_film(store, film_key("k", "mean", 1)).predictions == film.predictions).all()
    others = (film_key("k", "mean", 2), film_key("k", "blur", 1), film_key("l", "mean", 1))
    assert len({film_key("k", "mean", 1), *others}) == 4


def test_what_is_absent_is_none(tmp_path: Path) -> None:
    assert load_picture(Store(tmp_path), "abc") is None and load_film(Store(tmp_path), "abc") is None
