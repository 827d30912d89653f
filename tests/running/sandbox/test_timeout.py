import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from xaibench.running.sandbox.timeout import OutOfTime, can_limit, time_limit


def test_what_hangs_is_ended_and_what_is_quick_is_not() -> None:
    before = signal.getsignal(signal.SIGALRM)
    start = time.monotonic()
    with pytest.raises(OutOfTime), time_limit(0.2):
        while True:
            time.sleep(10)
    assert 0.15 < time.monotonic() - start < 5
    with time_limit(0.2):
        pass
    time.sleep(0.3)  # nothing comes after
    with time_limit(None):
        pass
    assert signal.getsignal(signal.SIGALRM) is before and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("kind", [Exception, BaseException])
def test_one_who_catches_exceptions_is_ended_too(kind: type[BaseException]) -> None:
    """It is no Exception; and one who catches even that is told again."""
    caught = 0
    with pytest.raises(OutOfTime), time_limit(0.1):
        while True:
            try:
                time.sleep(10)
            except kind:
                caught += 1
                if caught == 2:
                    raise
    assert caught == (0 if kind is Exception else 2)


def test_only_the_main_thread_can() -> None:
    with ThreadPoolExecutor() as pool:
        assert can_limit() and not pool.submit(can_limit).result()
