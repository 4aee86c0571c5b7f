"""The second opinion on a stream of bytes: it must be right where the gateway may be wrong."""

import random

import pytest

from loadtests.hostile import mutations, oracle

GET = b"GET /a HTTP/1.1\r\nHost: f\r\n\r\n"
HEAD = b"POST /a HTTP/1.1\r\nHost: f\r\n"

STREAMS: dict[str, tuple[bytes, list[tuple[bytes, bytes]]]] = {
    "two": (GET + GET, [(b"/a", b""), (b"/a", b"")]),
    "empty lines": (b"\r\n\n" + GET, [(b"/a", b"")]),
    "length": (HEAD + b"Content-Length: 28\r\n\r\n" + GET + GET, [(b"/a", GET), (b"/a", b"")]),
    "chunks": (
        HEAD
        + b"Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n"
        + GET,
        [(b"/a", b"abc"), (b"/a", b"")],
    ),
    "unfinished": (GET + HEAD + b"Content-Length: 5\r\n\r\nabc", [(b"/a", b"")]),
    "unfinished chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", []),
    "length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET,
        [],
    ),
    "two lengths": (HEAD + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + GET, []),
    "folded": (HEAD + b"X: 1\r\n 2\r\n\r\n" + GET, []),
    "space before colon": (HEAD + b"X : 1\r\n\r\n" + GET, []),
    "two hosts": (HEAD + b"Host: g\r\n\r\n" + GET, []),
    "closes": (HEAD + b"Connection: x, Close\r\n\r\n" + GET, [(b"/a", b"")]),
    "old": (b"GET /a HTTP/1.0\r\n\r\n" + GET, [(b"/a", b"")]),
    "chunk size signed": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n", []),
}


@pytest.mark.parametrize("kind", sorted(STREAMS))
def test_streams_are_cut_as_the_rfc_says(kind: str) -> None:
    """What is clear is cut, and reading stops at what is not."""
    stream, expected = STREAMS[kind]

    assert [(found.target, found.body) for found in oracle.requests(stream)] == expected


@pytest.mark.parametrize("data", mutations.CORPUS)
def test_every_request_of_the_corpus_is_whole(data: bytes) -> None:
    """Mutations start from requests that the oracle reads to their end."""
    (found,) = oracle.requests(data)

    assert found.end == len(data)


def test_a_seed_gives_the_same_bytes_again() -> None:
    """What a run of the fuzzer names can be made again."""
    assert [mutations.mutated(random.Random(seed)) for seed in range(50)] == [
        mutations.mutated(random.Random(seed)) for seed in range(50)
    ]
