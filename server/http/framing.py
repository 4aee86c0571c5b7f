"""How the body of a request is framed, and which of its header fields decide that. Pure.

Decides which fields are anything to the reader, and refuses framing that nobody can read in two
ways: a length with chunks, two lengths, any transfer coding but `chunked` alone, and all of them in
HTTP/1.0. Does not know bytes or parsers.
"""

from typing import Final

from server.errors import BadHttp
from server.protocol.http_answer import Headers
from server.protocol.request_headers import CONTENT_ENCODING
from server.protocol.request_headers import NOTED as NOTED_FIELDS

HOST: Final = 1
LENGTH: Final = 2
NOTED: Final = 3
SPECIAL: Final = 4

KINDS = {
    b"host": HOST,
    b"content-length": LENGTH,
    **dict.fromkeys(NOTED_FIELDS, NOTED),
    **dict.fromkeys((b"transfer-encoding", CONTENT_ENCODING, b"expect", b"upgrade"), SPECIAL),
}
"""What a header field is to the reader; most are nothing."""

_MAX_LENGTH_DIGITS = 20


def special_fields(headers: Headers, *, is_new: bool) -> dict[bytes, list[bytes]]:
    """Return the values of each field, in lower case; `is_new` is HTTP/1.1 and not 1.0.

    Raises:
        BadHttp: the fields frame a body in a way that may be read differently elsewhere.

    """
    special: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        special.setdefault(name, []).append(value.lower())
    lengths = special.get(b"content-length", [])
    codings = special.get(b"transfer-encoding")
    if codings is not None and (not is_new or lengths or codings != [b"chunked"]):
        raise BadHttp("the only Transfer-Encoding is chunked, alone, in HTTP/1.1")
    if len(lengths) > 1:
        raise BadHttp("a request has one Content-Length at most")
    return special


def body_length(value: bytes) -> int:
    """Read a Content-Length, which the parser has found to be digits.

    Raises:
        BadHttp: it has more digits than any length that a body can have.

    """
    if len(value) > _MAX_LENGTH_DIGITS:
        raise BadHttp(f"a Content-Length may have {_MAX_LENGTH_DIGITS} digits")
    return int(value)
