"""How a port listens: clients that do not finish a TLS handshake are not waited for."""

import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.support.authority import Authority
from tests.support.dataplane import InProcessWorker
from tests.support.raw import connected

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def test_a_handshake_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    """Saying nothing, or a bit of a hello, costs a connection as much time as headers have."""
    cert, key = map(str, Authority(tmp_path).sign("server", HERE))
    settings: dict[str, Any] = {"tls_cert": cert, "tls_key": key, "header_timeout_seconds": 0.3}
    with InProcessWorker(tmp_path, {}, **settings) as worker:
        for hello in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with connected(worker.url) as client:
                client.send(hello)
                assert client.is_closed()
