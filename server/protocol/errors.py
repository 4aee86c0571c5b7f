"""From an error to an HTTP answer: the one table of statuses, and the one form of an error body.

Every failure, of whatever route, is `{"error": text, "code": stable code, "request_id": id}`;
clients of the protocol read `error` and rely on it being a string.
"""

from functools import lru_cache
from http import HTTPStatus

import orjson

from server import errors, operator_errors
from server.errors import TidegateError
from server.protocol.http_answer import Answer, Headers, json_headers, response_head

STATUS: dict[type[TidegateError], HTTPStatus] = {
    errors.BadHttp: HTTPStatus.BAD_REQUEST,
    errors.HeadersTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.UrlTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.BadJson: HTTPStatus.BAD_REQUEST,
    errors.BadBinary: HTTPStatus.BAD_REQUEST,
    errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.DataCheckFailed: HTTPStatus.BAD_REQUEST,
    errors.Quarantined: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ModelNotFound: HTTPStatus.NOT_FOUND,
    errors.VersionNotFound: HTTPStatus.NOT_FOUND,
    errors.ModelLoading: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.MemoryBudget: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.TooManyFailures: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.CrossOrigin: HTTPStatus.FORBIDDEN,
    errors.TooManyConnections: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ShuttingDown: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineQueue: HTTPStatus.GATEWAY_TIMEOUT,
    errors.DeadlineRun: HTTPStatus.GATEWAY_TIMEOUT,
    errors.ModelFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.NonFiniteOutput: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.OutputTooLarge: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ModelInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    operator_errors.ProfileInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    operator_errors.DataInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    operator_errors.LoadTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    operator_errors.StateNotSaved: HTTPStatus.INSUFFICIENT_STORAGE,
    operator_errors.MonitoringOff: HTTPStatus.CONFLICT,
    operator_errors.FeedbackBusy: HTTPStatus.TOO_MANY_REQUESTS,
    operator_errors.ReleaseRefused: HTTPStatus.CONFLICT,
    operator_errors.StaleGeneration: HTTPStatus.PRECONDITION_FAILED,
    operator_errors.IdempotencyConflict: HTTPStatus.UNPROCESSABLE_ENTITY,
    operator_errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ControlUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConfigError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

INTERNAL_TEXT = "the server failed on this request; its log says why"


def error_answer(error: Exception, request_id: str) -> Answer:
    """Write the answer for `error`; one that was not raised on purpose says nothing of itself."""
    known = isinstance(error, TidegateError)
    status = STATUS.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)  # type: ignore[arg-type]
    body: dict[str, str | list[str]] = {
        "error": str(error) if known else INTERNAL_TEXT,
        "code": error.code if isinstance(error, TidegateError) else TidegateError.code,
        "request_id": request_id,
    }
    if isinstance(error, errors.ModelInvalid) and error.fix:
        body["fix"] = error.fix
    if isinstance(error, errors.ModelInvalid) and error.problem:
        body["problem"] = error.problem
    if isinstance(error, operator_errors.ReleaseRefused) and error.missing:
        body["missing"] = error.missing
    encoded = orjson.dumps(body)
    headers = json_headers(len(encoded))
    if isinstance(error, TidegateError) and error.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
        if error.shed_reason is not None:
            headers.append((b"x-shed-reason", error.shed_reason.encode()))
    if isinstance(error, errors.UnsupportedEncoding):
        headers.append((b"accept-encoding", b"gzip, deflate"))
    if isinstance(error, errors.Unauthenticated):
        headers.append((b"www-authenticate", b"Bearer"))
    headers.append((b"x-request-id", request_id.encode()))
    return Answer(status, headers, encoded)


_ID = "0123456789abcdef"
"""Stands where the id of a request will: of the same length as those that we give."""
_BY_CODE = {kind.code: kind for kind in STATUS}
_DATE: Headers = [(b"date", b"to be")]


def refusal(error: TidegateError, default_head: bytes, request_id: str) -> bytes:
    """Return the whole answer to a request that is refused for want of room, for little.

    It has the bytes that `error_answer` and `response_head` would give it; but all of them that
    are the same for each refusal of a kind are made once. `default_head` holds the server's own
    headers as they stand in a head, and `request_id` is one of ours.
    """
    status_line, rest, between_ids, end = _pieces(
        error.code, str(error), error.retry_after_seconds, error.shed_reason
    )
    identity = request_id.encode()
    return b"".join((status_line, default_head, rest, identity, between_ids, identity, end))


@lru_cache(maxsize=64)
def _pieces(
    code: str, text: str, retry_after: int | None, shed_reason: str | None
) -> tuple[bytes, bytes, bytes, bytes]:
    error = _BY_CODE[code](text)
    error.retry_after_seconds, error.shed_reason = retry_after, shed_reason
    answer = error_answer(error, _ID)
    whole = response_head(answer, _DATE, close=False) + answer.body
    status_line, rest = whole.split(b"date: to be\r\n")
    before, between, after = rest.split(_ID.encode())
    return status_line, before, between, after
