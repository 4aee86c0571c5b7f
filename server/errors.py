"""Every error that Tidegate raises on purpose; `operator_errors.py` has those of operators' calls.

    TidegateError
        BadHttp               the bytes are not a request we may read
        HeadersTooLarge       too many header bytes or fields
        UrlTooLong            the request target is too long
        RequestTimeout        the request did not arrive in time
        NotFound              no such route
        MethodNotAllowed      the route exists, the method does not
        PayloadTooLarge       the body is larger than the limit
        UnsupportedEncoding   a content coding we do not undo
        BadJson               the body is not JSON
        BadBinary             the parts of a binary request do not add up
        InvalidRequest        a field of the request is wrong
        InvalidInput          a tensor does not fit the model's signature
        DataCheckFailed       a value breaks a data check that refuses
        Quarantined           the request has killed workers
        ModelNotFound         no such model
        VersionNotFound       no such version of the model
        ModelLoading          the version is not ready yet
        ModelUnavailable      the version failed to load
        QueueFull             the model's queue is full
        Overloaded            what waits for the model takes longer than it may
        QuotaExceeded         the caller asks more often than it may
        MemoryBudget          too many request bytes are in flight
        Unauthenticated       nobody who is known
        TooManyFailures       an address has not been recognized too often
        Forbidden             the caller's key does not have the role, or not for this model
        CrossOrigin           a page of another site is behind the request
        TooManyConnections    the worker holds all the connections it may
        ShuttingDown          the worker is stopping
        DeadlineQueue         the caller's deadline passed in the queue
        DeadlineRun           the caller's deadline passed while the model ran
        ModelFailed           the model raised, or its answer does not fit its rows
        NonFiniteOutput       the model answered NaN or infinity, which JSON cannot carry
        OutputTooLarge        the model's answer is larger than the limit
        ModelInvalid          a version in the repository cannot be served
        ControlUnavailable    the control process cannot be reached
        ConfigError           the settings are wrong

`protocol/errors.py` alone decides which status code each one becomes. Texts are fixed: they name
fields, tensors and numbers of the caller's own request, never a path or an exception of ours.
"""

from typing import ClassVar


class TidegateError(Exception):
    """Base of the tree. `code` is part of the API and never changes."""

    code: ClassVar[str] = "internal"
    retry_after_seconds: int | None = None
    """Whole seconds after which a retry makes sense; None where it does not."""
    shed_reason: str | None = None
    """Which bound was reached, where there was no room for the request; else None."""


class BadHttp(TidegateError):
    """The bytes are not an HTTP request, or an ambiguous one."""

    code = "bad_http"


class HeadersTooLarge(TidegateError):
    """Too many header bytes, or too many fields."""

    code = "headers_too_large"


class UrlTooLong(TidegateError):
    """The request target is longer than the limit."""

    code = "url_too_long"


class RequestTimeout(TidegateError):
    """The request's headers or body did not arrive in time."""

    code = "request_timeout"


class NotFound(TidegateError):
    """No route goes by that path."""

    code = "not_found"


class MethodNotAllowed(TidegateError):
    """The route does not know this method."""

    code = "method_not_allowed"


class PayloadTooLarge(TidegateError):
    """The body is larger than the limit, as sent or when decompressed."""

    code = "payload_too_large"


class UnsupportedEncoding(TidegateError):
    """A Content-Encoding other than gzip and deflate."""

    code = "unsupported_encoding"


class BadJson(TidegateError):
    """The body, or its JSON part, is not JSON."""

    code = "bad_json"


class BadBinary(TidegateError):
    """The parts of a binary request do not add up."""

    code = "bad_binary"


class InvalidRequest(TidegateError):
    """A field of the request is missing, unknown or of the wrong kind."""

    code = "invalid_request"


class InvalidInput(TidegateError):
    """A tensor does not fit the model's signature."""

    code = "invalid_input"


class DataCheckFailed(TidegateError):
    """A value breaks a data check whose policy is to refuse; the model was not asked."""

    code = "data_check_failed"


class Quarantined(TidegateError):
    """The same rows have ended the process that ran them twice; they are refused for a while."""

    code = "quarantined"


class ModelNotFound(TidegateError):
    """No model goes by that name."""

    code = "model_not_found"


class VersionNotFound(TidegateError):
    """The model has no such version."""

    code = "version_not_found"


class ModelLoading(TidegateError):
    """The version is known and on its way."""

    code = "model_loading"
    retry_after_seconds: int | None = 1


class ModelUnavailable(TidegateError):
    """The version is known and failed to load."""

    code = "model_unavailable"


class QueueFull(TidegateError):
    """The model's queue holds all the rows it may."""

    code = "queue_full"
    retry_after_seconds: int | None = 1
    shed_reason: str | None = "queue_rows"


class Overloaded(TidegateError):
    """What waits for the model already takes longer than it may, or than the caller will wait."""

    code = "overloaded"
    retry_after_seconds: int | None = 1
    shed_reason: str | None = "queue_wait"

    def __init__(
        self, message: str, *, shed_reason: str = "queue_wait", retry_after_seconds: int = 1
    ) -> None:
        super().__init__(message)
        self.shed_reason = shed_reason
        self.retry_after_seconds = retry_after_seconds


class QuotaExceeded(TidegateError):
    """The caller asks more often than its quota allows; the server would have had room."""

    code = "quota_exceeded"
    retry_after_seconds: int | None = 1
    shed_reason: str | None = "quota"

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class MemoryBudget(TidegateError):
    """The request bytes in flight have reached the limit of the process."""

    code = "memory_budget"
    retry_after_seconds: int | None = 1
    shed_reason: str | None = "request_bytes"


class Unauthenticated(TidegateError):
    """The caller shows no key, or one that is unknown, expired or revoked: it is not told which."""

    code = "unauthenticated"


class TooManyFailures(TidegateError):
    """The caller's address has shown too many keys that are not valid."""

    code = "too_many_failures"
    retry_after_seconds: int | None = 1


class Forbidden(TidegateError):
    """The caller is known, and may not do this."""

    code = "forbidden"


class CrossOrigin(TidegateError):
    """A browser makes the request for a page of another site."""

    code = "cross_origin"


class TooManyConnections(TidegateError):
    """The worker holds as many connections as it may."""

    code = "too_many_connections"
    retry_after_seconds: int | None = 1
    shed_reason: str | None = "connections"


class ShuttingDown(TidegateError):
    """The worker is stopping; another one may answer."""

    code = "shutting_down"
    retry_after_seconds: int | None = 1


class DeadlineQueue(TidegateError):
    """The caller's deadline passed while the request waited."""

    code = "deadline_queue"


class DeadlineRun(TidegateError):
    """The caller's deadline passed while the model ran on its rows."""

    code = "deadline_run"


class ModelFailed(TidegateError):
    """The model raised, or answered another number of rows than it was given."""

    code = "model_error"


class NonFiniteOutput(TidegateError):
    """The model answered NaN or infinity, and the caller asked for JSON."""

    code = "non_finite_output"


class OutputTooLarge(TidegateError):
    """The model's answer is larger than the limit."""

    code = "output_too_large"


class ModelInvalid(TidegateError):
    """A version in the repository cannot be served; `fix` says what would help.

    `may_pass` says that it is not the version's fault, and that a later try may succeed as it is.
    `problem` is what is wrong with its signature, for programs: `unsigned`, `unknown_signer` or
    `tampered`; empty if it is something else.
    """

    code = "model_invalid"

    def __init__(
        self, message: str, *, fix: str = "", may_pass: bool = False, problem: str = ""
    ) -> None:
        super().__init__(message)
        self.fix = fix
        self.may_pass = may_pass
        self.problem = problem


class ControlUnavailable(TidegateError):
    """The control process cannot be reached; predictions go on without it."""

    code = "control_unavailable"
    retry_after_seconds: int | None = 1


class ConfigError(TidegateError):
    """The settings are wrong. `problems` lists every one, each with its origin."""

    code = "config"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
