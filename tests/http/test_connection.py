"""What is left of a connection when it has gone: nothing, and at once."""

import gc
import ipaddress
import socket
import ssl
import struct
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from server.http.connection import Connection
from tests.support.asking import AFFINE, check_nothing_left, infer_body, leftovers
from tests.support.authority import Authority
from tests.support.dataplane import InProcessWorker, plan
from tests.support.gateway import eventually
from tests.support.models import affine
from tests.support.raw import RawConnection, get, post

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
GOOD = infer_body([[1, 2, 3]])
CHUNKED = f"POST {AFFINE} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
SENT: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 0),
    "half a head": (b"POST / HTTP", 0),
    "half a body": (CHUNKED + b"5\r\nab", 0),
    "hot": (post(AFFINE, GOOD) * 3, 3),
    "hot and wrong": (post(AFFINE, b"{"), 1),
    "cold": (get("/v2/models/affine") * 3, 3),
    "cold and wrong": (get("/nowhere") + post("/v1/models/affine:predict", b"{"), 2),
    "unreadable": (b"nonsense\r\n\r\n", 1),
    "long target": (get("/" + "x" * 9000), 1),
    "long body": (CHUNKED + b"fffff\r\n" + b"x" * 0xFFFFF, 1),
    "ambiguous": (post(AFFINE, GOOD, "Content-Length: 3"), 1),
    "an upgrade": (get("/v2", "Connection: upgrade", "Upgrade: h2c"), 1),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the module's workers are."""
    found = tmp_path_factory.mktemp("connections")
    (found / "affine.onnx").write_bytes(affine())
    return found


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    """Who has signed the certificate of the worker with TLS."""
    return Authority(folder)


@pytest.fixture(scope="module", params=["plain", "tls"])
def worker(
    request: pytest.FixtureRequest, folder: Path, authority: Authority
) -> Iterator[InProcessWorker]:
    """A worker that speaks plain HTTP, and one that speaks TLS."""
    files = dict(
        zip(("tls_cert", "tls_key"), map(str, authority.sign("server", HERE)), strict=True)
    )
    plans = {"affine": plan(folder / "affine.onnx")}
    settings: dict[str, Any] = {
        "max_body_bytes": 100_000,
        **(files if request.param == "tls" else {}),
    }
    with InProcessWorker(folder / request.param, plans, **settings) as started:
        yield started


@pytest.fixture
def connect(worker: InProcessWorker, authority: Authority) -> Callable[[], RawConnection]:
    """Connect to the worker, in its way."""

    def begin() -> RawConnection:
        link = socket.create_connection(("127.0.0.1", worker.port), 60)
        if worker.worker.settings.speaks_tls:
            context = ssl.create_default_context(cafile=str(authority.path))
            link = context.wrap_socket(link, server_hostname="127.0.0.1")
        return RawConnection(link)

    return begin


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Have Python free what nobody refers to, and look for no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def seen(worker: InProcessWorker) -> list["weakref.ref[Connection]"]:
    """Refer to the connections that are open, without holding them."""
    found: list[weakref.ref[Connection]] = worker.on_loop(
        lambda: [
            weakref.ref(one)
            for one in worker.worker.plane.connections
            if isinstance(one, Connection)
        ]
    )
    return found


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("ends", ["close", "reset"])
@pytest.mark.parametrize("kind", SENT)
def test_a_connection_that_has_gone_is_freed_without_the_collector(
    worker: InProcessWorker, connect: Callable[[], RawConnection], kind: str, ends: str
) -> None:
    """Whatever was sent on it, and however it ended: else memory grows until Python looks."""
    check_nothing_left(worker)
    data, answers = SENT[kind]
    met: list[weakref.ref[Connection]] = []
    for _ in range(3):
        client = connect()
        with client.link as link:
            eventually(lambda: leftovers(worker)["connections"] == 1 and seen(worker))
            met += seen(worker)
            client.send(data)
            for _ in range(answers):
                client.read()
            if ends == "reset":
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        check_nothing_left(worker)

    eventually(lambda: not any(one() for one in met))
    assert len(met) == 3
