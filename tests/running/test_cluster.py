import json
from pathlib import Path
from typing import Any

import pytest

from xaibench.errors import UserError
from xaibench.running.cluster import Cluster
from xaibench.running.request import Request


def test_nothing_asked_for_is_this_process() -> None:
    assert Request().cluster is None
    assert Request(workers=3).cluster == Cluster(workers=3)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"workers": 2, "scheduler": "tcp://h:1"}, "--workers and --scheduler are two places"),
        ({"scheduler": "tcp://h:1", "scheduler_file": "f"}, "--scheduler and --scheduler-file are two places"),
        ({"workers": 0}, "0 workers"),
        ({"scheduler": "h"}, "'h' is no address"),
        ({"scheduler": "tcp://h:x"}, "'tcp://h:x' is no address"),
        ({"scheduler": "http://h:1"}, "'http://h:1' is of no protocol"),
        ({"tls_ca": "ca.pem"}, "--tls-ca says how to speak to a cluster, and none was named"),
        ({"workers": 1, "tls_ca": "ca.pem"}, "--tls-ca is for --scheduler"),
        ({"scheduler": "tls://h:1", "tls_ca": "ca.pem"}, "--tls-ca: there is no file ca.pem"),
        ({"scheduler": "tls://h:1", "tls_key": "key.pem"}, "--tls-key needs the certificate"),
        ({"memory": 2.0}, "--worker-memory is for --workers"),
    ],
)
def test_contradictions_are_said(
    what: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("key.pem").touch()
    with pytest.raises(UserError) as error:
        Cluster(**what)
    assert said in str(error.value)


def test_an_address_may_lack_its_protocol(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("")
    assert Cluster(scheduler="host:8786").address == "tcp://host:8786"
    assert Cluster(scheduler="host:8786", tls_ca=tmp_path / "ca").address == "tls://host:8786"


def test_the_schedulers_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    cluster = Cluster(scheduler_file=file)
    with pytest.raises(UserError, match=r"scheduler\.json cannot be read: No such file"):
        _ = cluster.address
    file.write_text("{}")
    with pytest.raises(UserError, match=r"scheduler\.json cannot be read: it holds no address"):
        _ = cluster.address
    file.write_text(json.dumps({"address": "tcp://127.0.0.1:4711"}))
    assert cluster.address == "tcp://127.0.0.1:4711" and cluster.to_json() == {"scheduler": "tcp://127.0.0.1:4711"}


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://127.0.0.1:1", False),
        ("tcp://localhost:1", False),
        ("tcp://[::1]:1", False),
        ("tls://10.0.0.1:1", False),
        ("tcp://10.0.0.1:1", True),
        ("tcp://[2001:db8::1]:1", True),
        ("tcp://no-such-host.invalid:1", True),
    ],
)
def test_an_open_way_is_warned_of(address: str, warned: bool) -> None:
    assert ("not encrypted" in Cluster(scheduler=address).caution()) == warned
    assert not Cluster(workers=2).caution()
