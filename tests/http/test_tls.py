"""TLS on our own ports: versions, certificates that change, and clients that show one."""

import asyncio
import ipaddress
import os
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from server.access import key_file
from server.access.keys import Key
from server.access.roles import Role
from server.http import tls
from server.settings import Settings
from tests.support.asking import AFFINE, affine_data, data_of, infer_body
from tests.support.authority import Authority
from tests.support.dataplane import InProcessWorker, plan
from tests.support.models import affine
from tests.support.raw import RawConnection, get, post

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ROWS = [[0.1, -2.5, 3e7]]
SPIFFE = "spiffe://shop/checkout"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the module's worker are."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    """The authority that everybody trusts here."""
    return Authority(folder)


@pytest.fixture(scope="module")
def worker(folder: Path, authority: Authority) -> Iterator[InProcessWorker]:
    """A worker that speaks TLS and knows one client certificate."""
    cert, key = authority.sign("server", HERE)
    (folder / "affine.onnx").write_bytes(affine())
    entry = Key("certif01", "checkout", (Role.PREDICT,), certificate=SPIFFE)
    key_file.change(folder / "keys.json", lambda _: [entry])
    with InProcessWorker(
        folder,
        {"affine": plan(folder / "affine.onnx")},
        tls_cert=str(cert),
        tls_key=str(key),
        tls_client_ca=str(authority.path),
    ) as worker:
        yield worker


def trusting(authority: Authority, *shown: Path) -> ssl.SSLContext:
    """Return what a client needs that trusts the authority, and shows a certificate."""
    context = ssl.create_default_context(cafile=str(authority.path))
    if shown:
        context.load_cert_chain(*map(str, shown))
    return context


def connect(worker: InProcessWorker, context: ssl.SSLContext) -> RawConnection:
    """Connect to a worker with TLS."""
    plain = socket.create_connection(("127.0.0.1", worker.port), 60)
    return RawConnection(context.wrap_socket(plain, server_hostname="127.0.0.1"))


def status(worker: InProcessWorker, context: ssl.SSLContext, request: bytes) -> int:
    """Return the status of an answer over TLS."""
    client = connect(worker, context)
    with client.link:
        client.send(request)
        return client.read().status


def test_a_certificate_stands_for_a_key(worker: InProcessWorker, authority: Authority) -> None:
    """By a name in it; without one, health answers and nothing else does."""
    shown = authority.sign("checkout", x509.UniformResourceIdentifier(SPIFFE))
    other = authority.sign("other", x509.DNSName("other.example"))
    request = post(AFFINE, infer_body(ROWS))

    client = connect(worker, trusting(authority, *shown))
    with client.link:
        for _ in range(3):
            client.send(request)
            assert data_of(client.read()) == affine_data(ROWS)
        client.send(get("/v2/models/affine/stats"))
        assert client.read().status == 403
    assert status(worker, trusting(authority, *other), request) == 401
    assert status(worker, trusting(authority), request) == 401
    assert status(worker, trusting(authority), get("/v2/health/live")) == 200


def test_a_certificate_of_a_stranger_ends_the_handshake(
    worker: InProcessWorker, authority: Authority, tmp_path: Path
) -> None:
    """Whatever names it has: anybody can write them."""
    stranger = Authority(tmp_path, "stranger")
    shown = stranger.sign("checkout", x509.UniformResourceIdentifier(SPIFFE))

    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(worker, trusting(authority, *shown), get("/v2/health/live"))


def test_old_versions_and_plain_http_are_not_spoken(
    worker: InProcessWorker, authority: Authority
) -> None:
    """TLS 1.2 and 1.3 only; who speaks plainly is not heard."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(authority)
        context.minimum_version = context.maximum_version = version
        assert status(worker, context, get("/v2/health/live")) == 200
    old = trusting(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        status(worker, old, get("/v2/health/live"))
    with socket.create_connection(("127.0.0.1", worker.port), 60) as plain:
        plain.sendall(get("/v2/health/live"))
        assert b"HTTP/" not in RawConnection(plain).read_to_end()


def look(worker: InProcessWorker) -> None:
    """Have the worker look at its files now."""
    found = worker.worker._certificates
    assert found is not None
    asyncio.run_coroutine_threadsafe(found.look(), worker.loop).result(30)


def serial(worker: InProcessWorker, authority: Authority) -> Any:
    """Return the number of the certificate that a new connection gets."""
    client = connect(worker, trusting(authority))
    with client.link:
        assert isinstance(client.link, ssl.SSLSocket)
        return (client.link.getpeercert() or {})["serialNumber"]


def test_certificates_change_under_open_connections(
    worker: InProcessWorker, authority: Authority, folder: Path
) -> None:
    """Open ones go on, new ones get the new certificate, and a wrong pair changes nothing."""
    before = serial(worker, authority)
    client = connect(worker, trusting(authority))
    cert, key = authority.sign("server", HERE)
    look(worker)
    after = serial(worker, authority)
    assert after != before
    shutil.copy(key, folder / "kept.key")

    authority.sign("server", HERE)
    os.replace(folder / "kept.key", key)  # The certificate is new, its key is not there yet.
    look(worker)
    assert serial(worker, authority) == after
    cert.write_text("nothing")
    look(worker)
    assert serial(worker, authority) == after
    cert.unlink()
    look(worker)
    assert serial(worker, authority) == after
    authority.sign("server", HERE)
    look(worker)
    assert serial(worker, authority) not in (before, after)
    with client.link:
        client.send(get("/v2/health/live"))
        assert client.read().status == 200


def test_files_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    """In words that name what is wrong, for the start of the gateway."""
    authority = Authority(tmp_path)
    cert, key = map(str, authority.sign("server", HERE))
    _, other = map(str, authority.sign("other", HERE))
    wrong = {
        "belong together": {"tls_cert": cert},
        "a file cannot be read: No such file": {"tls_cert": cert, "tls_key": str(tmp_path / "x")},
        "key values mismatch": {"tls_cert": cert, "tls_key": other},
        "the files do not fit": {"tls_cert": key, "tls_key": key},
    }

    assert tls.certificates(Settings(state_dir=tmp_path)) is None
    for words, settings in wrong.items():
        with pytest.raises((OSError, ValueError)) as refused:
            tls.certificates(Settings(state_dir=tmp_path, **settings))
        assert words in tls.reason(refused.value)
