"""Which requests of browsers are somebody else's page's."""

import pytest

from server.access.browsers import check_host, check_origin, is_loopback
from server.errors import CrossOrigin

HOST = (b"host", b"127.0.0.1:8001")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [HOST],
        [HOST, (b"origin", b"http://127.0.0.1:8001")],
        [(b"host", b"Gateway.example"), (b"origin", b"https://gateway.EXAMPLE")],
        [(b"host", b"[::1]:8001"), (b"origin", b"http://[::1]:8001")],
    ],
)
def test_programs_and_our_own_pages_may_ask(headers: list[tuple[bytes, bytes]]) -> None:
    """Programs send no Origin; behind a proxy the scheme may be another one."""
    check_origin(headers)


@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.example",
        b"null",
        b"",
        b"http://127.0.0.1",
        b"http://127.0.0.1:8000",
        b"http://127.0.0.1:8001.evil.example",
        b"http://[",
        b"\xff",
        b"127.0.0.1:8001",
    ],
)
def test_pages_of_others_may_not(origin: bytes) -> None:
    """Another port is another site; a sandboxed page is nobody's."""
    with pytest.raises(CrossOrigin):
        check_origin([HOST, (b"origin", origin)])
    with pytest.raises(CrossOrigin):
        check_origin([(b"origin", origin)])


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:8001",
        b"127.0.0.1:8001",
        b"10.0.0.1",
        b"[::1]:8001",
        b"gate:80",
        b"console.localhost:8001",
    ],
)
def test_names_of_this_machine_are_fine(host: bytes) -> None:
    """A name that only this machine resolves, an address, or the one it was told."""
    check_host([(b"host", host)], "gate", ())


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:8001", b"", b"localhost.evil.example", b"[::1", b"a@b"]
)
def test_other_names_may_be_pointed_here_by_anybody(host: bytes) -> None:
    """What a browser then shows as its own site would be our answers."""
    for bound in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(CrossOrigin):
            check_host([(b"host", host)], bound, {"console.example"})
        with pytest.raises(CrossOrigin):
            check_host([], bound, {"console.example"})


@pytest.mark.parametrize(
    "host",
    [b"tidegate:8001", b"gate.prod.svc", b"gate.svc.cluster.local", b"a.internal", b"n.local"],
)
def test_names_of_private_networks_are_fine_where_others_can_reach_us(host: bytes) -> None:
    """Nobody outside can own one; on a loopback address, the next network's owner could."""
    check_host([(b"host", host)], "0.0.0.0", ())
    with pytest.raises(CrossOrigin):
        check_host([(b"host", host)], "127.0.0.1", ())


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_a_name_that_is_allowed_is_fine_everywhere(bound: str) -> None:
    """In any spelling, with a port or without; what only ends like it is another name."""
    for host in (b"Console.Example", b"console.example:8001"):
        check_host([(b"host", host)], bound, {"console.example"})
    with pytest.raises(CrossOrigin):
        check_host([(b"host", b"evil.console.example")], bound, {"console.example"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("gateway", False),
        ("", False),
    ],
)
def test_a_loopback_address_is_known_as_one(host: str, expected: bool) -> None:
    """A name may mean anything, so it does not count as one."""
    assert is_loopback(host) == expected
