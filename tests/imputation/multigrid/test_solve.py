import time
from typing import Any
from unittest.mock import Mock

import numba
import numpy as np
import pytest
from faults import python
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from xaibench.imputation.multigrid import jit
from xaibench.imputation.multigrid import solve as inpaint
from xaibench.imputation.multigrid.solve import solve_inpaint

RNG = np.random.default_rng


def direct(image: np.ndarray, removed: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel, and a sparse direct solve in float64."""
    unknown = list(zip(*np.nonzero(removed & domain), strict=True))
    number = {pixel: i for i, pixel in enumerate(unknown)}
    entries, right = [], np.zeros((len(unknown), 3))
    for (y, x), i in number.items():
        for dy, dx in ((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx):
            there, weight = (y + dy, x + dx), 1 / 12 if dy and dx else 1 / 6
            if min(there) < 0 or there[0] >= domain.shape[0] or there[1] >= domain.shape[1] or not domain[there]:
                continue
            entries.append((i, i, weight))
            if there in number:
                entries.append((i, number[there], -weight))
            else:
                right[i] += weight * image[:, *there]
    rows, cols, values = np.array(entries).T
    matrix = coo_matrix((values, (rows.astype(int), cols.astype(int))), (len(unknown), len(unknown)))
    result = image.astype(np.float64)
    result[:, removed & domain] = spsolve(matrix.tocsc(), right).T
    return result


def error(image: np.ndarray, removed: np.ndarray, domain: np.ndarray, **given: float) -> float:
    """The largest difference between the solver and the definition."""
    return float(np.abs(solve_inpaint(image, removed, domain, **given) - direct(image, removed, domain)).max())


def disc(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) <= radius


KINDS = ("scattered", "blobs", "curves", "stripes", "all but a few", "a half")


def removal(kind: str, domain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scattered pixels, smooth blobs, thin curves, a stripe pattern, all but a few; one pixel always stays known."""
    noise = rng.random(domain.shape)
    smooth = gaussian_filter(rng.standard_normal(domain.shape), 3)
    y, x = np.indices(domain.shape)
    removed = {
        "scattered": noise < rng.random(),
        "blobs": smooth > np.quantile(smooth, rng.random()),
        "curves": np.abs(smooth - np.median(smooth)) < 0.02,
        "stripes": (x + y) % 4 < 2,
        "all but a few": noise < 0.98,
        "a half": x > domain.shape[1] // 2,
    }[kind]
    removed.flat[np.flatnonzero(domain)[rng.integers(domain.sum())]] = False
    return removed


def solvable(removed: np.ndarray, domain: np.ndarray) -> np.ndarray:
    """Without the parts of the domain that would be removed entirely, for which the system has no solution."""
    parts, count = label(domain, np.ones((3, 3)))
    known = np.bincount(parts[domain & ~removed], minlength=count + 1) > 0
    return removed & known[parts]


@settings(max_examples=130, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    height=st.integers(1, 32),
    width=st.integers(1, 32),
    domain=st.sampled_from(["whole", "disc", "ragged"]),
    share=st.floats(0.1, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_agrees_with_a_direct_solve(kind: str, height: int, width: int, domain: str, share: float, seed: int) -> None:
    rng = RNG(seed)
    image, inside = rng.random((3, height, width), np.float32), np.ones((height, width), bool)
    if domain == "disc":
        inside = disc(32, 2 + 15 * share)[:height, :width] | (np.arange(height * width) == 0).reshape(height, width)
    elif domain == "ragged":
        inside = rng.random((height, width)) < share
        inside[height // 2, : width // 2 + 1] = True
    removed = solvable(removal(kind, inside, rng), inside)
    if (removed & inside).any():
        assert error(image, removed, inside) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_few_cycles_do_whatever_is_removed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = RNG(1)
    image, domain = rng.random((3, 200, 190), np.float32), disc(200, 97)[:, 5:195]
    monkeypatch.setattr(inpaint, "_MAX_CYCLES", 5)
    monkeypatch.setattr(inpaint, "_solve_directly", None)
    solve_inpaint(image, removal(kind, domain, rng), domain)


@pytest.mark.parametrize("limit", [("_MAX_CYCLES", 1), ("_SLOW", 0.001), ("_FRAGMENTED", -1)])
def test_what_the_cycles_do_not_solve_is_solved_directly(
    limit: tuple[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = RNG(0)
    image, domain = rng.random((3, 40, 30), np.float32), np.ones((40, 30), bool)
    monkeypatch.setattr(inpaint, *limit)
    assert error(image, removal("blobs", domain, rng), domain) < 1e-6


def test_a_picture_with_values_that_are_no_numbers_is_an_error() -> None:
    image, domain = RNG(0).random((3, 40, 40), np.float32), np.ones((40, 40), bool)
    image[1, 20, 20] = np.nan
    removed = np.zeros_like(domain)
    removed[18:20, 18:22] = True
    with pytest.raises(ArithmeticError, match="no numbers"):
        solve_inpaint(image, removed, domain)


@pytest.mark.parametrize("kind", ["scattered", "blobs", "curves", "all but a few"])
def test_agrees_with_a_direct_solve_of_a_larger_image(kind: str) -> None:
    rng = RNG(5)
    image = np.clip(0.5 + gaussian_filter(rng.standard_normal((3, 200, 180)), (0, 2, 2)), 0, 1).astype(np.float32)
    domain = disc(200, 98)[:, 10:190]
    assert error(image, removal(kind, domain, rng), domain) < 1e-4


@pytest.mark.parametrize("density", [0.4, 0.45, 0.6, 0.8])
def test_a_fragmented_domain_is_solved_as_exactly(density: float) -> None:
    rng = RNG(6)
    image, domain = rng.random((3, 150, 140), np.float32), rng.random((150, 140)) < density
    assert error(image, solvable(rng.random(domain.shape) < 0.9, domain), domain) < 1e-4


def test_a_smaller_tolerance_is_kept_to() -> None:
    rng = RNG(7)
    image, domain = rng.random((3, 120, 110), np.float32), disc(120, 54)[:, 5:115]
    assert error(image, removal("blobs", domain, rng), domain, tolerance=2e-6) < 4e-6  # two of them rounding


def test_the_same_input_gives_the_same_bits_in_any_layout() -> None:
    image, domain = RNG(0).random((3, 90, 81), np.float32), disc(90, 40)[:, 4:85]
    removed = removal("scattered", domain, RNG(1))
    once = solve_inpaint(image, removed, domain)
    solve_inpaint(1 - image, ~removed, domain)
    np.testing.assert_array_equal(solve_inpaint(image, removed, domain), once)
    np.testing.assert_array_equal(solve_inpaint(np.asfortranarray(image), np.asfortranarray(removed), domain), once)


def test_importing_the_metric_does_not_import_the_compiler() -> None:
    python("import sys, xaibench.imputation.fills; assert 'numba' not in sys.modules")


def twice(x: float) -> float:
    return 2 * x


def test_without_a_folder_to_cache_in_kernels_are_compiled_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def njit(cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function 'twice': no locator available for file '<string>'")
        return numba.njit(**options)

    monkeypatch.setattr(jit, "_njit", njit)
    assert jit.compiled(twice)(3.0) == 6.0


def test_a_full_disk_costs_no_more_than_compiling_again(monkeypatch: pytest.MonkeyPatch) -> None:
    save = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", save)
    kernel = jit.compiled(twice)
    assert [kernel(np.float32(3)), kernel(np.float32(4))] == [6, 8]
    save.assert_called_once()


def test_nothing_else_changes() -> None:
    image, domain = RNG(0).random((3, 64, 64), np.float32), disc(64, 28)
    before, removed = image.copy(), RNG(1).random((64, 64)) < 0.5
    filled = solve_inpaint(image, removed, domain)
    changed = (filled != image).any(0)
    assert (changed == (removed & domain)).mean() > 0.99
    assert not changed[~(removed & domain)].any()
    np.testing.assert_array_equal(image, before)


def test_everything_removed_gives_the_mean_of_the_picture() -> None:
    image, domain = RNG(0).random((3, 64, 64), np.float32), disc(64, 28)
    filled = solve_inpaint(image, domain, domain)
    expected = image[:, domain].astype(np.float64).mean(1, keepdims=True)
    np.testing.assert_allclose(filled[:, domain], np.broadcast_to(expected, (3, domain.sum())), atol=1e-6)


def test_a_part_of_which_nothing_is_known_gets_the_mean_and_the_other_is_solved() -> None:
    image, domain = RNG(0).random((3, 12, 20), np.float32), np.ones((12, 20), bool)
    domain[:, 9] = False
    removed = np.zeros_like(domain)
    removed[:, :9] = True
    removed[4:8, 12:16] = True
    filled = solve_inpaint(image, removed, domain)
    np.testing.assert_allclose(filled[:, 3, 3], image[:, domain].mean(1), atol=1e-6)
    right = np.where(np.arange(20) > 9, removed, False)
    assert np.abs(filled - direct(image, right, domain))[:, :, 10:].max() < 1e-4


@pytest.mark.alone
def test_a_whole_image_takes_a_fraction_of_a_second() -> None:
    image, domain = RNG(0).random((3, 584, 565), np.float32), disc(584, 270)[:, 9:574]
    removed = RNG(1).random(domain.shape) < 0.95
    took = []
    for _ in range(2):
        start = time.process_time()
        solve_inpaint(image, removed, domain)
        took.append(time.process_time() - start)
    assert min(took) < 0.5
