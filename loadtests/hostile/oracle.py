"""How a stream of bytes is cut into requests, by the strictest reading of RFC 9112.

A second opinion beside the gateway's parser, written from the RFC and not from the parser: what the
gateway answers must be among what is found here. It stops at the first thing that two servers could
read in two ways; what comes after that is no request. It does not judge targets, methods or bodies.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) +(.+?) +HTTP/(1\.[01])")
_DIGITS = re.compile(rb"[0-9]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)((?:;.*)?)")


@dataclass(frozen=True)
class Found:
    """One request that is whole."""

    method: bytes
    target: bytes
    body: bytes
    closes: bool
    """Whether the connection ends after its answer."""
    end: int
    """Where in the stream the next one begins."""


class _Unclear(Exception):
    """Nobody may read on from here."""


class _Unfinished(Exception):
    """The stream ends within a request."""


def requests(stream: bytes) -> Iterator[Found]:
    """Yield the requests of a stream, up to the first that is not clear or not whole."""
    at = 0
    while at < len(stream):
        if stream[at] in b"\r\n":  # Empty lines before a request are let pass, whatever ends them.
            at += 1
            continue
        try:
            found = _request(stream, at)
        except (_Unclear, _Unfinished):
            return
        yield found
        at = found.end
        if found.closes:
            return


def _request(stream: bytes, at: int) -> Found:
    end = stream.find(b"\r\n\r\n", at)
    if end < 0:
        raise _Unfinished
    first, *lines = stream[at:end].split(b"\r\n")
    matched = _LINE.fullmatch(first)
    if matched is None:
        raise _Unclear
    fields = _fields(lines)
    version = matched[3]
    if version == b"1.1" and len(fields.get(b"host", [])) != 1:
        raise _Unclear
    body, after = _body(stream, end + 4, fields, version)
    tokens = b",".join(fields.get(b"connection", [])).lower().split(b",")
    closes = version == b"1.0" or b"close" in [token.strip() for token in tokens]
    return Found(matched[1], matched[2], body, closes, after)


def _fields(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or any(bad in value for bad in b"\r\n\0"):
            raise _Unclear
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return fields


def _body(
    stream: bytes, at: int, fields: dict[bytes, list[bytes]], version: bytes
) -> tuple[bytes, int]:
    codings, lengths = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if codings is not None:
        if lengths is not None or version == b"1.0" or [c.lower() for c in codings] != [b"chunked"]:
            raise _Unclear
        return _chunks(stream, at)
    if lengths is None:
        return b"", at
    if len(lengths) != 1 or not _DIGITS.fullmatch(lengths[0]):
        raise _Unclear
    end = at + int(lengths[0])
    if end > len(stream):
        raise _Unfinished
    return stream[at:end], end


def _chunks(stream: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, at = _line(stream, at)
        matched = _CHUNK.fullmatch(line)
        if matched is None:
            raise _Unclear
        size = int(matched[1], 16)
        if size == 0:
            break
        if at + size + 2 > len(stream):
            raise _Unfinished
        body += stream[at : at + size]
        at += size
        if stream[at : at + 2] != b"\r\n":
            raise _Unclear
        at += 2
    trailers: list[bytes] = []
    while True:
        line, at = _line(stream, at)
        if not line:
            _fields(trailers)
            return body, at
        trailers.append(line)


def _line(stream: bytes, at: int) -> tuple[bytes, int]:
    end = stream.find(b"\r\n", at)
    if end < 0:
        raise _Unfinished
    return stream[at:end], end + 2
