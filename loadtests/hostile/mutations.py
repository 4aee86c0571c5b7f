"""Good requests, and what may become of them: the corpus of the fuzzer and its mutations.

All is drawn from the generator that is given, so a seed gives the same bytes again.
"""

import random
from collections.abc import Callable

import numpy as np
import orjson

MODEL = "affine"
SMUGGLED = b"smuggled"
"""Stands in the targets of requests that hide in the bodies of others."""

_ROW = [0.1, -2.5, 3e7]
_JSON = orjson.dumps(
    {
        "id": "f",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": _ROW}],
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
        "parameters": {"timeout": 4_000_000},
    }
)
_HEAD = orjson.dumps(
    {
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": [2, 3],
                "parameters": {"binary_data_size": 24},
            }
        ],
        "parameters": {"binary_data_output": True},
    }
)
_BINARY = _HEAD + np.arange(6, dtype=np.float32).tobytes()
_V1 = orjson.dumps({"instances": [_ROW, [1, 2, 3]]})
_HIDDEN = b"GET /v2/models/%b HTTP/1.1\r\nHost: f\r\n\r\n" % SMUGGLED


def request(target: bytes, body: bytes = b"", *fields: bytes, method: bytes = b"POST") -> bytes:
    """Return the bytes of a request whose body has a length."""
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: f", *fields]
    if method == b"POST":
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(target: bytes, body: bytes, size: int = 40) -> bytes:
    """Return the bytes of a request whose body comes in chunks."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = b"POST %b HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n" % target
    return head + framed + b"0\r\n\r\n"


_INFER = b"/v2/models/affine/infer"
GOOD = request(_INFER, _JSON)
CORPUS = [
    GOOD,
    request(_INFER, _JSON, b"Content-Type: application/json", b"X-Request-Id: f-1"),
    request(b"/v2/models/affine/versions/1/infer", _JSON, b"Accept-Encoding: gzip"),
    request(b"/v2/models/affin%65/infer", _JSON),
    request(_INFER, _BINARY, b"Inference-Header-Content-Length: %d" % len(_HEAD)),
    request(b"/v1/models/affine:predict", _V1),
    request(b"/v1/models/affine/versions/1:predict", _V1, b"X-Request-Timeout-Ms: 3000"),
    chunked(_INFER, _JSON),
    chunked(b"/v1/models/affine:predict", _V1, 7),
    request(_INFER, _JSON, b"Expect: 100-continue"),
    request(_INFER, _JSON, b"Connection: Upgrade", b"Upgrade: h2c"),
    request(_INFER, _JSON, b"Connection: close"),
    request(b"/v2/repository/index", b"{}"),
    *[
        request(target, method=b"GET")
        for target in (b"/v2", b"/v2/health/ready", b"/v2/models/affine", b"/v1/models/affine")
    ],
    request(b"/v2/models/affine/config", method=b"HEAD"),
    # Bodies that hold a request: whoever loses count of the body answers it.
    request(_INFER, _HIDDEN),
    chunked(_INFER, _HIDDEN, 1000),
    request(_INFER, b"0\r\n\r\n" + _HIDDEN, b"X-Pad: 1"),
]

FRAMINGS = [
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\tchunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:\r\n chunked",
    b"X: 1\r\n Transfer-Encoding: chunked",
    b"X: 1\nTransfer-Encoding: chunked",
    b"X: 1\rTransfer-Encoding: chunked",
    b"Transfer_Encoding: chunked",
    b"Content-Length: 0",
    b"Content-Length: 4",
    b"Content-Length: +4",
    b"Content-Length: 0x4",
    b"Content-Length: 4, 4",
    b"Content-Length : 4",
    b" Content-Length: 4",
    b"Content-Length:",
    b"Content_Length: 4",
    b"Connection: close",
    b"Connection: content-length",
    b"Upgrade: websocket\r\nConnection: upgrade",
    b"Expect: 100-continue",
    b"Host: g",
    b"Content-Encoding: gzip",
    b"Inference-Header-Content-Length: 9",
    b"\0: 1",
]

_VALUES = [b"-1", b"0", b"1", b"2147483648", b"18446744073709551616", b"1e400", b"NaN", b"null"]
_VALUES += [b"[]", b"{}", b'"', b"[" * 120, b"\xff\xfe", b"%00", b"../", b"\xed\xa0\x80", b"true"]
_BYTES = b'\r\n\0 \t:;,"{}[]0aF\x7f\x80\xff'


def mutated(rng: random.Random) -> bytes:
    """Return one to three requests of the corpus, after up to four mutations of each."""
    stream = b""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(CORPUS)
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            data = rng.choice(_MUTATIONS)(rng, data)
        stream += data
    return stream


def _place(rng: random.Random, data: bytes) -> int:
    """Return a place: half of the time in the head, where most decisions fall."""
    end = data.find(b"\r\n\r\n") if rng.random() < 0.5 else len(data)
    return rng.randrange(max(1, end))


def _flip(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return (
        data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :] if data else data
    )


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + bytes([rng.choice(_BYTES)]) * rng.choice((1, 1, 2, 70)) + data[at:]


def _delete(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + data[at + rng.choice((1, 1, 2, 8, 40)) :]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[: at + rng.randrange(40)] + data[at:]


def _splice(rng: random.Random, data: bytes) -> bytes:
    other = rng.choice(CORPUS)
    return data[: _place(rng, data)] + other[_place(rng, other) :]


def _value(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + rng.choice(_VALUES) + data[at + rng.randrange(4) :]


def _field(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\r\n")
    lines.insert(rng.randrange(1, max(2, data.count(b"\r\n", 0, 300))), rng.choice(FRAMINGS))
    return b"\r\n".join(lines)


def _many_fields(rng: random.Random, data: bytes) -> bytes:
    first, end, rest = data.partition(b"\r\n")
    return first + end + b"X-F: 1\r\n" * rng.choice((10, 99, 120)) + rest


def _long(rng: random.Random, data: bytes) -> bytes:
    at = _place(rng, data)
    return data[:at] + b"x" * rng.choice((300, 8200, 33_000)) + data[at:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: _place(rng, data)]


_MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [
    _flip, _flip, _insert, _insert, _delete, _delete, _repeat, _splice,
    _value, _value, _field, _field, _field, _many_fields, _long, _cut,
]  # fmt: skip
