"""Content codings: which one an answer gets, and that no request unfolds without bound."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import BadHttp, PayloadTooLarge, TidegateError, UnsupportedEncoding
from server.protocol.compression import choose, compressed, unfold
from server.protocol.http_answer import Answer, json_headers

CODINGS: dict[bytes, Callable[[bytes], bytes]] = {b"gzip": gzip.compress, b"deflate": zlib.compress}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"gzip", "gzip"),
        (b"deflate", "deflate"),
        (b"gzip, deflate, br", "gzip"),
        (b"deflate, gzip", "gzip"),
        (b"GZIP", "gzip"),
        (b" deflate ;q=1.0 , gzip; q=0.5", "deflate"),
        (b"gzip;q=0.2, deflate;q=0.3", "deflate"),
        (b"gzip;q=0, deflate;q=0.001", "deflate"),
        (b"*", "gzip"),
        (b"*;q=0.5, gzip;q=0", "deflate"),
        (b"*;q=0.5, gzip;q=0.1", "deflate"),
        (b"identity;q=0.5, gzip;q=0.5", "gzip"),
        (b"identity, gzip;q=0.5", None),
        (b"gzip;q=0", None),
        (b"*;q=0", None),
        (b"br, zstd", None),
        (b"identity", None),
        (b"", None),
        (b",;,", None),
        (b"gzip;q=high", None),
        (b"gzip;q=nan", None),
        (b"gzip;q=-1", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_coding_follows_the_weights(accepted: bytes, coding: str | None) -> None:
    """RFC 9110 §12.5.3; gzip where both are equally good, nothing where identity is preferred."""
    assert choose(accepted, size=100, min_bytes=100) == coding


def test_small_answers_stay_as_they_are() -> None:
    """Below the limit, compressing costs the server more than it saves."""
    assert choose(b"gzip", size=99, min_bytes=100) is None
    assert choose(b"gzip", size=100, min_bytes=100) == "gzip"


@settings(max_examples=200)
@given(st.binary(max_size=30) | st.text("gzipdflate*;q=0.15, ", max_size=30).map(str.encode))
def test_no_accept_encoding_is_too_strange(accepted: bytes) -> None:
    """Whatever stands there, the answer is a coding that we have, or none."""
    assert choose(accepted, 10, 0) in (None, "gzip", "deflate")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_answer_is_the_same_answer(coding: str) -> None:
    """Status and headers stay; the length is that of what is sent."""
    body = b'{"data":[' + b"0.125," * 500 + b"1]}"
    headers = [*json_headers(len(body)), (b"inference-header-content-length", b"7")]

    packed = compressed(Answer(200, headers, body), coding)

    assert unfold(packed.body, coding.encode(), len(body)) == body
    assert zlib.decompress(packed.body, {"gzip": 31, "deflate": 15}[coding]) == body
    assert packed.status == 200
    assert packed.headers == [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(packed.body)),
        (b"inference-header-content-length", b"7"),
        (b"content-encoding", coding.encode()),
        (b"vary", b"accept-encoding"),
    ]


@settings(max_examples=50)
@given(st.binary(max_size=200), st.sampled_from(list(CODINGS)))
def test_what_clients_compress_is_read(body: bytes, coding: bytes) -> None:
    """Python's own gzip and zlib write it, up to a body of exactly the limit."""
    assert unfold(CODINGS[coding](body), coding, len(body)) == body


@pytest.mark.parametrize("coding", [b"identity", b"", b" Identity "])
def test_an_identical_body_is_handed_on(coding: bytes) -> None:
    """Identity is no coding; the limit of bodies is kept elsewhere."""
    body = b"abc"

    assert unfold(body, coding, 1) is body


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_names_of_codings_have_no_case(coding: bytes) -> None:
    """RFC 9110 §8.4.1."""
    assert unfold(CODINGS[coding](b"a"), b" " + coding.upper(), 1) == b"a"


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"x" * 99, b"\xff"])
def test_other_codings_are_refused_by_name(coding: bytes) -> None:
    """The text names what came, shortened, and what would do."""
    with pytest.raises(UnsupportedEncoding) as caught:
        unfold(b"abc", coding, 10)

    name = coding.decode("latin-1")[:32]
    expected = f"Content-Encoding '{name}' is not supported; gzip and deflate are"
    assert str(caught.value) == expected


@pytest.mark.parametrize("coding", list(CODINGS))
def test_a_byte_beyond_the_limit_is_too_much(coding: bytes) -> None:
    """It counts what the body unfolds to."""
    packed = CODINGS[coding](b"a" * 1001)

    assert len(unfold(packed, coding, 1001)) == 1001
    with pytest.raises(PayloadTooLarge, match="the decompressed body is larger than 1000 bytes"):
        unfold(packed, coding, 1000)


@pytest.mark.parametrize("coding", list(CODINGS))
def test_a_bomb_stops_at_the_limit(coding: bytes) -> None:
    """64 MiB of zeros in 64 KiB cost no more memory than an honest body of the limit."""
    bomb = CODINGS[coding](bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            unfold(bomb, coding, 100_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.parametrize("coding", list(CODINGS))
def test_what_is_not_one_whole_stream_is_refused(coding: bytes) -> None:
    """Garbage, cut off, or with something after its end."""
    packed = CODINGS[coding](b"hello hello hello")
    name = coding.decode()

    for broken in (b"not compressed", packed[1:]):
        with pytest.raises(BadHttp, match=f"the body is not valid {name}"):
            unfold(broken, coding, 100)
    for partial in (b"", packed[:-1], packed[:5], packed + b"x", packed + packed):
        with pytest.raises(BadHttp, match=f"the body is not one complete {name} stream"):
            unfold(partial, coding, 100)


def test_a_wrong_checksum_is_noticed() -> None:
    """A body that was damaged on the way is not served."""
    packed = bytearray(gzip.compress(b"hello"))
    packed[-5] ^= 1

    with pytest.raises(BadHttp, match="not valid gzip"):
        unfold(bytes(packed), b"gzip", 100)


def test_raw_deflate_is_not_http_deflate() -> None:
    """HTTP means the zlib container."""
    packer = zlib.compressobj(wbits=-15)
    with pytest.raises(BadHttp):
        unfold(packer.compress(b"hello") + packer.flush(), b"deflate", 100)


@settings(max_examples=150)
@given(st.binary(max_size=60), st.sampled_from(list(CODINGS)), st.booleans())
def test_any_bytes_are_unfolded_or_refused(body: bytes, coding: bytes, damaged: bool) -> None:
    """Nothing but errors of ours comes out of a damaged body."""
    if damaged:
        packed = CODINGS[coding](b"some honest body")
        body = packed[: len(body) % len(packed)] + body
    try:
        assert len(unfold(body, coding, 20)) <= 20
    except TidegateError as error:
        assert isinstance(error, BadHttp | PayloadTooLarge)  # noqa: PT017 - both are right
