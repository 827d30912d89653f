"""A cluster that speaks TLS, with certificates made here."""

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from distributed import Security

from running.by_hand import ByHand
from xaibench.errors import UserError
from xaibench.running.cluster import Cluster
from xaibench.running.dask.client import connected
from xaibench.running.threads import Threads

pytest.importorskip("cryptography", reason="Dask makes certificates with the package cryptography")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    made, folder = Security.temporary(), tmp_path_factory.mktemp("certificates")
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_text(made.tls_ca_file)
    key.write_text(made.tls_client_key)
    return str(cert), str(key)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[ByHand]:
    cert, key = certificate
    options = ("--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key)
    with closing(ByHand(tmp_path_factory.mktemp("secured"), *options, protocol="tls")) as hand:
        hand.worker()
        yield hand


def test_a_cluster_is_joined_with_a_certificate(secured: ByHand, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    cluster = Cluster(scheduler_file=str(secured.file), tls_ca=cert, tls_cert=cert, tls_key=key)
    assert secured.address.startswith("tls://") and not cluster.caution()
    with connected(cluster, Threads(1, 1)) as client:
        client.wait_for_workers(1, timeout=60)
        assert client.submit(sum, (1, 2)).result(timeout=30) == 3


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://no-such-host.invalid:8786"])
def test_a_scheduler_that_does_not_answer_is_said_within_seconds(address: str) -> None:
    start = time.monotonic()
    with (
        pytest.raises(UserError, match=f"The scheduler {address} cannot be reached"),
        connected(Cluster(scheduler=address), Threads(1, 1)),
    ):
        pass
    assert time.monotonic() - start < 15


def test_without_one_it_cannot_be_reached(secured: ByHand) -> None:
    with (
        pytest.raises(UserError, match=f"The scheduler {secured.address} cannot be reached"),
        connected(Cluster(scheduler=secured.address), Threads(1, 1)),
    ):
        pass
