"""The headers that an inference cares about, and what each may hold."""

import re

import pytest

from server.errors import BadBinary, InvalidRequest
from server.protocol.priorities import LOW
from server.protocol.request_headers import (
    PLAIN,
    InferHeaders,
    accepted_id,
    new_request_id,
    read,
)


def test_headers_of_no_interest_make_the_one_plain_value() -> None:
    """The hot path tells most requests by its identity."""
    assert read([]) is PLAIN
    assert read([(b"host", b"a"), (b"content-type", b"text/plain")]) is PLAIN


def test_each_header_is_read() -> None:
    """Milliseconds become seconds."""
    headers = [
        (b"inference-header-content-length", b"144"),
        (b"x-request-id", b"Abc-1.2_3"),
        (b"x-request-timeout-ms", b"250"),
        (b"accept-encoding", b"gzip;q=0.5"),
        (b"x-model-version", b"3"),
        (b"x-routing-key", b"user 7"),
        (b"x-prediction-id", b"order:17"),
        (b"x-request-priority", b"low"),
        (b"host", b"a"),
    ]

    assert read(headers) == InferHeaders(
        144, "Abc-1.2_3", 0.25, b"gzip;q=0.5", "3", b"user 7", "order:17", LOW
    )
    for name, value in headers[:-1]:
        assert read([(name, value)]) is not PLAIN


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"007", 7), (b"999999999999", 999_999_999_999)]
)
def test_the_json_length_is_a_whole_number(value: bytes, length: int) -> None:
    """0 is a raw request, not an absent header."""
    assert read([(b"inference-header-content-length", value)]).json_length == length


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b"1.0", b"1e3", b" 1", b"0x10", b"1,1", b"1_0", b"9" * 13, b"\xb2"]
)
def test_another_json_length_is_refused(value: bytes) -> None:
    """What Python would read as a number is not one here; neither is one of endless digits."""
    with pytest.raises(BadBinary, match="Inference-Header-Content-Length must be a whole number"):
        read([(b"inference-header-content-length", value)])


@pytest.mark.parametrize("value", [b"", b"0", b"000", b"-5", b"1.5", b"abc", b"1" * 10, b"5 "])
def test_another_timeout_is_refused(value: bytes) -> None:
    """No time at all, no number, or longer than eleven days."""
    with pytest.raises(InvalidRequest, match="X-Request-Timeout-Ms must be a positive whole"):
        read([(b"x-request-timeout-ms", value)])
    assert read([(b"x-request-timeout-ms", b"9" * 9)]).timeout_seconds == 999_999.999


@pytest.mark.parametrize("value", [b"a", b"urn:uuid:1-2_3.4", b"x" * 128])
def test_a_prediction_id_that_is_safe_to_keep_is_the_callers_own(value: bytes) -> None:
    """Letters, digits and four signs, up to 128: what ids of other systems are made of."""
    assert read([(b"x-prediction-id", value)]).prediction_id == value.decode()


@pytest.mark.parametrize(
    "value", [b"", b"x" * 129, b"a b", b"a\tb", b"a/b", b"\xc3\xbc", b'"', b"a,b", b"a\0"]
)
def test_another_prediction_id_is_refused(value: bytes) -> None:
    """Replacing it would leave the caller with labels for predictions that nobody knows."""
    with pytest.raises(InvalidRequest, match="X-Prediction-Id must be 1 to 128 of") as raised:
        read([(b"x-prediction-id", value)])
    assert f"({len(value)} bytes)" in str(raised.value)
    assert len(str(raised.value)) < 140


def test_a_routing_key_is_any_bytes_of_some_length() -> None:
    """Only its hash counts; an empty one is none, and one without end is refused."""
    assert read([(b"x-routing-key", b"\xff" * 256)]).routing_key == b"\xff" * 256
    assert read([(b"x-routing-key", b"")]).routing_key is None
    with pytest.raises(InvalidRequest, match="X-Routing-Key may have 256 bytes, got 257"):
        read([(b"x-routing-key", b"k" * 257)])


@pytest.mark.parametrize("value", [b"a", b"A-Z_0.9", b"x" * 64])
def test_a_safe_id_is_the_callers_own(value: bytes) -> None:
    """Letters, digits and three signs, up to 64."""
    assert accepted_id(value) == value.decode()


@pytest.mark.parametrize(
    "value", [None, b"", b"x" * 65, b"a b", b"a\n", b"a\r\nX: y", b"\xc3\xbc", b'"', b"{}", b"a\0"]
)
def test_an_id_that_is_not_safe_to_echo_is_dropped(value: bytes | None) -> None:
    """It would stand in answers and logs; the request itself is not refused for it."""
    assert accepted_id(value) is None
    if value is not None:
        assert read([(b"x-request-id", value)]).request_id is None


def test_ids_of_ours_are_safe_and_differ() -> None:
    """An id made here would be accepted from a caller."""
    ids = {new_request_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{16}", one) and accepted_id(one.encode()) for one in ids)
