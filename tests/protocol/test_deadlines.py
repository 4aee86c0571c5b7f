"""Deadlines that callers and proxies send: which are read, ignored, refused, and which holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest
from server.protocol.deadlines import HEADERS, TIMEOUT, in_headers, shortest


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("x-request-timeout-ms", "250", 0.25),
        ("x-request-timeout-ms", "999999999", 999_999.999),
        ("x-envoy-expected-rq-timeout-ms", "15000", 15.0),
        ("x-envoy-upstream-rq-timeout-ms", "100", 0.1),
        ("grpc-timeout", "2H", 7200.0),
        ("grpc-timeout", "3M", 180.0),
        ("grpc-timeout", "4S", 4.0),
        ("grpc-timeout", "5m", 0.005),
        ("grpc-timeout", "6u", 6e-6),
        ("grpc-timeout", "99999999n", 0.099999999),
    ],
)
def test_each_header_has_its_own_unit(name: str, value: str, seconds: float) -> None:
    """Milliseconds for ours and Envoy's, a unit behind the digits for gRPC's."""
    assert in_headers({name.encode(): value.encode()}) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"1.5", b"1e3", b" 5", b"5 ", b"1" * 10])
def test_ours_must_be_right(value: bytes) -> None:
    """Whoever writes our header means us: a value that cannot be read is told to them."""
    with pytest.raises(InvalidRequest, match="X-Request-Timeout-Ms must be a positive whole"):
        in_headers({TIMEOUT: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("grpc-timeout", "123456789S"),
        ("grpc-timeout", "0S"),
        ("grpc-timeout", "5"),
        ("grpc-timeout", "S"),
        ("grpc-timeout", "5x"),
        ("grpc-timeout", "-5S"),
        ("grpc-timeout", "5S "),
        ("x-envoy-expected-rq-timeout-ms", "soon"),
        ("x-envoy-upstream-rq-timeout-ms", "0"),
    ],
)
def test_those_of_others_are_ignored_when_they_are_malformed(name: str, value: str) -> None:
    """A proxy's header that means nothing to us must not cost the caller the answer."""
    assert in_headers({name.encode(): value.encode()}) is None


@given(st.dictionaries(st.sampled_from(HEADERS[1:]), st.binary(max_size=12)))
def test_headers_of_others_never_fail(noted: dict[bytes, bytes]) -> None:
    """Whatever stands in them, they are read or ignored, and a time is positive."""
    seconds = in_headers(noted)

    assert seconds is None or seconds > 0


@given(st.integers(1, 10**8 - 1), st.integers(1, 10**8 - 1), st.integers(1, 10**8 - 1))
def test_the_shortest_header_holds(ours: int, envoy: int, grpc: int) -> None:
    """Whoever gives up first has given up."""
    noted = {
        b"x-request-timeout-ms": b"%d" % ours,
        b"x-envoy-expected-rq-timeout-ms": b"%d" % envoy,
        b"grpc-timeout": b"%dm" % grpc,
    }

    assert in_headers(noted) == pytest.approx(min(ours, envoy, grpc) / 1000)


@pytest.mark.parametrize(
    ("in_body", "in_header", "seconds"),
    [(None, None, 5.0), (1.0, None, 1.0), (None, 2.0, 2.0), (3.0, 2.0, 2.0), (90.0, 99.0, 60.0)],
)
def test_body_headers_and_the_limit_are_held_against_each_other(
    in_body: float | None, in_header: float | None, seconds: float
) -> None:
    """The shortest of them, the default if nobody asks, never more than the limit."""
    assert shortest(in_body, in_header, default=5.0, longest=60.0) == seconds
