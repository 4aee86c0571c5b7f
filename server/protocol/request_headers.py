"""The request headers that an inference cares about.

Decides what each one may hold and what happens if it does not: a malformed header of the protocol
is an error, a malformed x-request-id is replaced by one of ours (it would be echoed and logged).
X-Model-Version may hold anything: what no version is called is not found.
"""

import re
import secrets
from dataclasses import dataclass, field

from server.errors import BadBinary, InvalidRequest
from server.protocol import deadlines, priorities

JSON_LENGTH = b"inference-header-content-length"
REQUEST_ID = b"x-request-id"
ACCEPT_ENCODING = b"accept-encoding"
CONTENT_ENCODING = b"content-encoding"
MODEL_VERSION = b"x-model-version"
ROUTING_KEY = b"x-routing-key"
PREDICTION_ID = b"x-prediction-id"

NOTED = frozenset(
    {
        JSON_LENGTH,
        REQUEST_ID,
        *deadlines.HEADERS,
        priorities.HEADER,
        ACCEPT_ENCODING,
        MODEL_VERSION,
        ROUTING_KEY,
        PREDICTION_ID,
    }
)
_SAFE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_SAFE_PREDICTION_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
MAX_ROUTING_KEY_BYTES = 256


@dataclass(frozen=True, slots=True)
class InferHeaders:
    """What the headers of one inference request say."""

    json_length: int | None = None
    request_id: str | None = None
    timeout_seconds: float | None = None
    """How long its caller or a proxy will wait: the shortest that the headers say."""
    accept_encoding: bytes = b""
    model_version: str | None = None
    """The version that shall answer, whichever is live."""
    routing_key: bytes | None = None
    """Requests with the same key are answered by the same version while a canary is under way."""
    prediction_id: str | None = None
    """By which the caller will speak of these rows later; None: by one of ours."""
    priority: int = priorities.NORMAL
    """Which requests are refused first when there is no room for all: see `priorities.py`."""
    is_silent: bool = field(init=False, compare=False, repr=False)
    """Whether nothing of it shows in a good answer."""

    def __post_init__(self) -> None:
        shown = self.request_id or self.prediction_id or self.accept_encoding
        object.__setattr__(self, "is_silent", not shown)


PLAIN = InferHeaders()
"""The headers of most requests: nothing of note. Always this one object."""


def read(headers: list[tuple[bytes, bytes]]) -> InferHeaders:
    """Read lower-cased header fields.

    Raises:
        BadBinary: Inference-Header-Content-Length is not a whole number.
        InvalidRequest: X-Request-Timeout-Ms is not a positive whole number, X-Request-Priority is
            no priority, X-Routing-Key is too long, or X-Prediction-Id is too long or not safe to
            keep.

    """
    noted = {name: value for name, value in headers if name in NOTED}
    if not noted:
        return PLAIN
    return InferHeaders(
        _whole_number(noted.get(JSON_LENGTH)),
        accepted_id(noted.get(REQUEST_ID)),
        deadlines.in_headers(noted),
        noted.get(ACCEPT_ENCODING, b""),
        _text(noted.get(MODEL_VERSION)),
        _routing_key(noted.get(ROUTING_KEY)),
        _prediction_id(noted.get(PREDICTION_ID)),
        priorities.in_header(noted.get(priorities.HEADER)),
    )


def read_id_only(headers: list[tuple[bytes, bytes]]) -> InferHeaders:
    """Read no more than the caller's request id, for the error that the other headers become."""
    return InferHeaders(request_id=accepted_id(dict(headers).get(REQUEST_ID)))


def accepted_id(value: bytes | None) -> str | None:
    """Return the caller's request id if it is safe to echo and to log, else None."""
    if value is None or not _SAFE_ID.fullmatch(value):
        return None
    return value.decode()


def new_request_id() -> str:
    """Make an id for a request that brought none, so that an error can be found in the log."""
    return secrets.token_hex(8)


def _whole_number(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise BadBinary("Inference-Header-Content-Length must be a whole number of bytes")
    return int(value)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _routing_key(value: bytes | None) -> bytes | None:
    if value is not None and len(value) > MAX_ROUTING_KEY_BYTES:
        raise InvalidRequest(
            f"X-Routing-Key may have {MAX_ROUTING_KEY_BYTES} bytes, got {len(value)}"
        )
    # An empty key is none: callers without one must not all be taken for the same.
    return value or None


def _prediction_id(value: bytes | None) -> str | None:
    if value is None:
        return None
    if not _SAFE_PREDICTION_ID.fullmatch(value):
        raise InvalidRequest(
            "X-Prediction-Id must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -, "
            f"got '{value[:32].decode('latin-1')}' ({len(value)} bytes)"
        )
    return value.decode()
