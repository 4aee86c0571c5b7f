"""Replace the certificate of a gateway again and again under load: no request may notice.

Half of the clients make a connection for each request and trust the authority alone, half keep
theirs. A swap writes another key and certificate, one file after the other, and is over when every
worker shows the new one to new connections.
"""

import contextlib
import functools
import http.client
import ipaddress
import ssl
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from cryptography import x509

from loadtests import targets
from loadtests.clients import Crew, Ledger
from loadtests.hostile.models import affine, put
from loadtests.hostile.slow_clients import BODY, EXPECTED
from tests.support.authority import Authority

WORKERS = 2
IN_A_ROW = 16
"""New connections that must show the new certificate: each worker has some of them, as good as
certainly."""
PATIENCE_SECONDS = 30.0
PATH = "/v2/models/affine/infer"
_HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


class _Callers(Crew):
    """Clients that send the same request over TLS until the block ends, and check each answer."""

    def __init__(self, port: int, context: ssl.SSLContext, clients: int) -> None:
        self.fresh, self.kept = Ledger(), Ledger()
        self._port = port
        self._context = context
        self._lock = threading.Lock()
        ledgers = [self.kept if number % 2 else self.fresh for number in range(clients)]
        super().__init__([functools.partial(self._run, ledger) for ledger in ledgers])

    def _run(self, ledger: Ledger) -> None:
        connection = _connection(self._port, self._context)
        while not self.stop.is_set():
            problem = _problem(connection)
            if problem or ledger is self.fresh:
                connection.close()
            with self._lock:
                ledger.answers += 1
                if problem:
                    ledger.failures.append(problem)
        connection.close()


def measure(swaps: int, clients: int) -> dict[str, Any]:
    """Swap the certificate so often, beside so many clients."""
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        scratch = Path(folder)
        put(scratch / "models", "affine", affine())
        authority = Authority(scratch)
        cert, key = authority.sign("server", _HERE)
        context = ssl.create_default_context(cafile=str(authority.path))
        flags = ("--tls-cert", str(cert), "--tls-key", str(key))
        with targets.tidegate(
            scratch, scratch / "models", WORKERS, "tidegate", *flags, probe=""
        ) as target:
            _wait_until_ready(target.port, context)
            started = time.monotonic()
            with _Callers(target.port, context, clients) as callers:
                seconds = [_swap(authority, target.port, context) for _ in range(swaps)]
            whole = time.monotonic() - started
        log = (scratch / "tidegate.log").read_text()
    return {
        "swaps": swaps,
        "seconds": round(whole, 1),
        "seconds until all workers show the new one": {
            "median": round(statistics.median(seconds), 2),
            "longest": round(max(seconds), 2),
        },
        "requests on connections of their own": callers.fresh.answers,
        "requests on connections that were kept": callers.kept.answers,
        "requests that failed": (callers.fresh.failures + callers.kept.failures)[:5],
        "errors in the log": log.count('"level":"error"') + log.count("Traceback"),
    }


def _swap(authority: Authority, port: int, context: ssl.SSLContext) -> float:
    """Sign another certificate; return the seconds until new connections get it."""
    started = time.monotonic()
    cert, _ = authority.sign("server", _HERE)
    expected = x509.load_pem_x509_certificate(cert.read_bytes()).serial_number
    in_a_row = 0
    while in_a_row < IN_A_ROW:
        if time.monotonic() - started > PATIENCE_SECONDS:
            raise SystemExit("a worker goes on with an old certificate")
        if _serial(port, context) == expected:
            in_a_row += 1
        else:
            in_a_row = 0
            time.sleep(0.05)
    return time.monotonic() - started


def _serial(port: int, context: ssl.SSLContext) -> int:
    """Return the number of the certificate that a new connection gets."""
    connection = _connection(port, context)
    connection.connect()
    with contextlib.closing(connection):
        assert isinstance(connection.sock, ssl.SSLSocket), "it speaks TLS"
        shown = connection.sock.getpeercert() or {}
        return int(str(shown["serialNumber"]), 16)


def _connection(port: int, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)


def _problem(connection: http.client.HTTPSConnection) -> str:
    """Ask once; say what is wrong with the answer, nothing if it is right."""
    try:
        connection.request("POST", PATH, BODY)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    is_right = answer.status == 200 and EXPECTED in content
    return "" if is_right else f"status {answer.status}: {content[:200]!r}"


def _wait_until_ready(port: int, context: ssl.SSLContext) -> None:
    until = time.monotonic() + targets.START_SECONDS
    connection = _connection(port, context)
    while problem := _problem(connection):
        connection.close()
        if time.monotonic() > until:
            raise SystemExit(f"the gateway does not answer: {problem}")
        time.sleep(0.05)
    connection.close()
