import pytest

from xaibench.errors import Skipped
from xaibench.scorer.image_cache import ImageCache


def test_a_value_is_computed_once_per_function_and_arguments() -> None:
    calls: list[tuple[object, ...]] = []

    def compute(*args: object, **kwargs: object) -> int:
        calls.append((args, kwargs))
        return len(calls)

    cache = ImageCache()
    values = [cache.get(compute, 1), cache.get(compute, 2), cache.get(compute, 1), cache.get(compute, 1, by=2)]
    assert values == [1, 2, 1, 3] and len(calls) == 3
    assert ImageCache().get(compute, 1) == 4  # nothing is shared between caches


def test_an_exception_is_raised_again() -> None:
    cache, calls = ImageCache(), []

    def skip() -> None:
        calls.append(1)
        raise Skipped("no vessel")

    for _ in range(2):
        with pytest.raises(Skipped, match="no vessel"):
            cache.get(skip)
    assert len(calls) == 2
