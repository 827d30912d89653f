"""A cluster that speaks TLS, with certificates made here."""

import datetime
import ipaddress
import time
from collections.abc import Iterator

import pytest

from running.by_hand import ByHand
from xaibench.errors import UserError
from xaibench.running.cluster import Cluster
from xaibench.running.dask.client import connected
from xaibench.running.threads import Threads

x509 = pytest.importorskip("cryptography.x509", reason="certificates are made with the package cryptography")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "xaibench-test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[str, str]) -> Iterator[ByHand]:
    cert, key = certificate
    options = ("--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key)
    hand = ByHand(tmp_path_factory.mktemp("secured"), *options, protocol="tls")
    hand.worker()
    yield hand
    hand.end()


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
