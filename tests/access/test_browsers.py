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
    check_host([(b"host", host)], "gate")


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:8001", b"", b"localhost.evil.example", b"[::1", b"a@b"]
)
def test_other_names_may_be_pointed_here_by_anybody(host: bytes) -> None:
    """What a browser then shows as its own site would be our answers."""
    with pytest.raises(CrossOrigin):
        check_host([(b"host", host)], "gate")
    with pytest.raises(CrossOrigin):
        check_host([], "gate")


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
