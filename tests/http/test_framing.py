"""How bodies are framed: one way to read each request, or none."""

import hypothesis
import pytest
from hypothesis import strategies as st

from server.errors import BadHttp
from server.http.framing import body_length, special_fields

CHUNKED = (b"transfer-encoding", b"Chunked")
LENGTH = (b"content-length", b"5")


@pytest.mark.parametrize(
    ("headers", "is_new"),
    [
        ([CHUNKED, LENGTH], True),
        ([LENGTH, CHUNKED], True),
        ([CHUNKED, CHUNKED], True),
        ([(b"transfer-encoding", b"gzip, chunked")], True),
        ([(b"transfer-encoding", b"")], True),
        ([CHUNKED], False),
        ([LENGTH, LENGTH], True),
        ([LENGTH, LENGTH], False),
    ],
)
def test_ambiguous_framing_is_refused(headers: list[tuple[bytes, bytes]], *, is_new: bool) -> None:
    """What two servers may read as different requests is no request."""
    with pytest.raises(BadHttp, match=r"Transfer-Encoding|Content-Length"):
        special_fields(headers, is_new=is_new)


def test_values_are_collected_in_lower_case() -> None:
    """Fields that come twice keep both values, in order."""
    fields = special_fields([CHUNKED, (b"x", b"B"), (b"x", b"a")], is_new=True)

    assert fields == {b"transfer-encoding": [b"chunked"], b"x": [b"b", b"a"]}


@hypothesis.given(st.integers(0, 10**20 - 1))
def test_lengths_of_twenty_digits_are_read(length: int) -> None:
    """A length is read whatever its zeros; of more digits than sense it is refused."""
    text = b"%020d" % length

    assert body_length(text) == length
    with pytest.raises(BadHttp, match="20 digits"):
        body_length(b"0" + text)
