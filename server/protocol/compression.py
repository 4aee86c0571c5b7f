"""Content codings of inference bodies: gzip and deflate, both ways, bounded.

Decides which coding an answer gets and how far a request may unfold. Deflate is the zlib container,
as HTTP means it (RFC 9110 §8.4.1.2). Requests are unfolded up to the body limit and not a byte
further, so a bomb costs what an honest body of that size costs.
"""

import zlib

from server.errors import BadHttp, PayloadTooLarge, UnsupportedEncoding
from server.protocol.http_answer import Answer

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_LEVEL = 1
"""The fastest: the answer is waited for, and numbers hardly shrink further at higher levels."""


def choose(accept_encoding: bytes, size: int, min_bytes: int) -> str | None:
    """Return the coding for a body of `size` bytes: the acceptable one of highest weight, or None.

    Small bodies stay as they are: compressing costs the server more than it saves anybody.
    """
    if size < min_bytes or not accept_encoding:
        return None
    weights: dict[str, float] = {}
    for item in accept_encoding.decode("latin-1").lower().split(","):
        name, _, parameter = item.partition(";")
        weights[name.strip()] = _weight(parameter)
    fallback = weights.get("*", 0.0)
    best = max(_WINDOW_BITS, key=lambda name: weights.get(name, fallback))
    weight = weights.get(best, fallback)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None


def _weight(parameter: str) -> float:
    text = parameter.strip().removeprefix("q=")
    if not text:
        return 1.0
    try:
        return float(text)
    except ValueError:
        return 0.0


def compressed(answer: Answer, coding: str) -> Answer:
    """Return the answer with its body compressed. Slow for large ones: 20 ms a megabyte."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS[coding])
    body = packer.compress(answer.body) + packer.flush()
    headers = [
        (name, b"%d" % len(body)) if name == b"content-length" else (name, value)
        for name, value in answer.headers
    ]
    headers += [(b"content-encoding", coding.encode()), (b"vary", b"accept-encoding")]
    return Answer(answer.status, headers, body)


def unfold(body: bytes, coding: bytes, max_bytes: int) -> bytes:
    """Undo the Content-Encoding of a request body.

    Raises:
        UnsupportedEncoding: the coding is not gzip, deflate or identity.
        PayloadTooLarge: the body would be larger than `max_bytes`.
        BadHttp: the body is not of that coding.

    """
    name = coding.decode("latin-1").strip().lower()
    if name in ("identity", ""):
        return body
    if name not in _WINDOW_BITS:
        raise UnsupportedEncoding(
            f"Content-Encoding '{name[:32]}' is not supported; gzip and deflate are"
        )
    unpacker = zlib.decompressobj(_WINDOW_BITS[name])
    try:
        unfolded = unpacker.decompress(body, max_bytes + 1)
    except zlib.error:
        raise BadHttp(f"the body is not valid {name}") from None
    if len(unfolded) > max_bytes:
        raise PayloadTooLarge(f"the decompressed body is larger than {max_bytes} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise BadHttp(f"the body is not one complete {name} stream")
    return unfolded
