"""More connections than there are file descriptors, and than a worker wants."""

import contextlib
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import StartGateway
from tests.support import models, raw
from tests.support.clients import ROW
from tests.support.gateway import Gateway, call, eventually


@contextlib.contextmanager
def few_descriptors(pid: int, more: int) -> Iterator[None]:
    """Leave a process only so many descriptors beyond those that it has open."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + more, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def crowd(gateway: Gateway, stack: contextlib.ExitStack, size: int) -> list[socket.socket]:
    """Open connections that ask nothing; those that are refused count too."""
    _, _, address = gateway.data.partition("//")
    host, _, port = address.partition(":")
    return [
        stack.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(size)
    ]


def test_a_worker_without_descriptors_goes_on(start: StartGateway, repository: Path) -> None:
    """Connections that cannot be accepted change nothing for the others, and fill no log.

    When there are descriptors again, new clients are served.
    """
    models.put(repository, "a", 1, models.affine())
    with start() as gateway, raw.connected(gateway.data) as client:
        (worker,) = gateway.workers()
        client.send(raw.get("/v2/health/live"))
        assert client.read().status == 200
        logged = len(gateway.log_path.read_text().splitlines())
        with few_descriptors(worker, 4), contextlib.ExitStack() as stack:
            crowd(gateway, stack, 200)
            for _ in range(20):
                client.send(raw.get("/v2/health/live"))
                assert client.read().status == 200
        eventually(lambda: gateway.infer("a", ROW).status == 200)
        assert len(gateway.log_path.read_text().splitlines()) - logged < 30


def test_a_crowd_does_not_hide_that_a_worker_is_well(start: StartGateway, repository: Path) -> None:
    """With all connections taken, probes are answered on both ports, and other requests refused."""
    models.put(repository, "a", 1, models.affine())
    settings = {"max_connections": 8, "header_timeout_seconds": 600}  # The crowd stays.
    with start(**settings) as gateway, contextlib.ExitStack() as stack:
        crowd(gateway, stack, 8)

        def is_full() -> bool:
            return call(gateway.data + "/v2").status == 503

        eventually(is_full)
        for path in ("/v2/health/live", "/v2/health/ready"):
            assert call(gateway.data + path).status == 200
        refused = gateway.infer("a", ROW)
        assert (refused.status, refused.json["code"]) == (503, "too_many_connections")
        assert refused.headers["connection"] == "close"
        assert call(gateway.control + "/metrics").status == 200
        stack.close()
        eventually(lambda: gateway.infer("a", ROW).status == 200)
