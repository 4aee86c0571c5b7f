"""Bytes that no client should send, on both ports: one refusal, and the connection ends."""

from tests.conftest import StartGateway
from tests.http.test_request_reader_refusals import REFUSED
from tests.support import raw
from tests.support.gateway import Gateway, call

HIDDEN = b"GET /v2/models/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
SIZES = {"long field", "many fields", "many bytes", "field without end", "long target"}
SIZES |= {"target without end", "long body", "long chunk", "long in chunks"}
"""Refused by the small limits of the reader's tests only."""


def check_refused(url: str, kind: str) -> None:
    """Send what is ambiguous, and a request that must not be answered behind it."""
    data, _ = REFUSED[kind]
    with raw.connected(url) as client:
        client.send(data + HIDDEN)
        answer = client.read()
        assert answer.status == 400, kind
        assert b'"code":"bad_http"' in answer.body, kind
        assert answer.header("connection") == "close", kind
        assert client.is_closed(), kind


def check_both_ports(gateway: Gateway) -> None:
    for url in (gateway.data, gateway.control):
        for kind in sorted(REFUSED.keys() - SIZES):
            check_refused(url, kind)
        assert call(url + "/v2/health/live").status == 200


def test_both_ports_refuse_what_is_ambiguous(start: StartGateway) -> None:
    """The connection class is the same; so are its refusals, for every route of both ports."""
    with start() as gateway:
        check_both_ports(gateway)
