from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from xaibench.running.threads import Threads, computing_with, share_of_cores, threads_here


def test_the_number_holds_within_the_block() -> None:
    before = threads_here()
    with computing_with(3):
        assert threads_here() == Threads(3, 3)
    assert threads_here() == before
    with computing_with(None):
        assert threads_here() == before


@pytest.mark.parametrize(("workers", "cores"), [(1, 4), (2, 4), (3, 8), (4, 4), (5, 2)])
def test_shares_cover_all_cores_and_none_is_empty(workers: int, cores: int) -> None:
    shares = [share_of_cores(rank, workers, list(range(cores))) for rank in range(workers)]
    assert all(shares) and {core for share in shares for core in share} == set(range(cores))
    if workers <= cores:
        assert sum(map(len, shares)) == cores


def test_bits_depend_on_the_number_of_threads_and_not_on_the_cores() -> None:
    """The same number in a thread that may use one core only gives the same bits: what workers rest on."""
    import os

    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not say which cores a process may use")
    from made_up import make_network

    network, image = make_network(), torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))

    def look(cores: set[int]) -> bytes:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(2)
        x = image.clone().requires_grad_()
        y = network(x)
        y.mean().backward()
        assert x.grad is not None
        return y.detach().numpy().tobytes() + x.grad.numpy().tobytes()

    cores = os.sched_getaffinity(0)
    with computing_with(2):
        every, one = (ThreadPoolExecutor(1).submit(look, allowed).result() for allowed in (cores, {min(cores)}))
    assert every == one
