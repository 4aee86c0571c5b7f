"""Every route of both ports with what it takes and gives, and the errors that it may answer.

Decides nothing that is served: a test holds this table to the routes of both applications, their
methods and roles. Pages for people (the console) are not in it.
"""

from dataclasses import dataclass

from server import errors, operator_errors
from server.access.roles import Role
from server.errors import TidegateError

ErrorKinds = tuple[type[TidegateError], ...]

DATA = "data"
CONTROL = "control"

ANYWHERE: ErrorKinds = (
    errors.BadHttp,
    errors.HeadersTooLarge,
    errors.UrlTooLong,
    errors.RequestTimeout,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.PayloadTooLarge,
    errors.MemoryBudget,
    errors.TooManyConnections,
)
"""What a request may get wherever it goes: its bytes, its path, its method, or its connection."""

ACCESS: ErrorKinds = (
    errors.Unauthenticated,
    errors.TooManyFailures,
    errors.Forbidden,
    errors.CrossOrigin,
)
"""What a request may get on routes that are not open to everybody."""

FINDING: ErrorKinds = (
    errors.ModelNotFound,
    errors.VersionNotFound,
    errors.ModelLoading,
    errors.ModelUnavailable,
)
INFERRING: ErrorKinds = (
    *FINDING,
    errors.BadJson,
    errors.BadBinary,
    errors.InvalidRequest,
    errors.InvalidInput,
    errors.DataCheckFailed,
    errors.Quarantined,
    errors.UnsupportedEncoding,
    errors.QueueFull,
    errors.Overloaded,
    errors.QuotaExceeded,
    errors.ShuttingDown,
    errors.DeadlineQueue,
    errors.DeadlineRun,
    errors.ModelFailed,
    errors.NonFiniteOutput,
    errors.OutputTooLarge,
)
ASKING_CONTROL: ErrorKinds = (errors.ControlUnavailable, errors.ModelNotFound)
LOADING: ErrorKinds = (
    errors.InvalidRequest,
    errors.ModelNotFound,
    errors.VersionNotFound,
    errors.ModelInvalid,
    operator_errors.LoadTimeout,
    operator_errors.StateNotSaved,
    operator_errors.ReleaseRefused,
    operator_errors.StoreUnavailable,
)
CHANGING: ErrorKinds = (
    errors.InvalidRequest,
    errors.ModelNotFound,
    errors.VersionNotFound,
    operator_errors.ReleaseRefused,
    operator_errors.StaleGeneration,
    operator_errors.IdempotencyConflict,
    operator_errors.StoreUnavailable,
    operator_errors.StateNotSaved,
)
READING: ErrorKinds = (
    errors.InvalidRequest,
    errors.ModelNotFound,
    operator_errors.StoreUnavailable,
)


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    roles: dict[str, Role]
    """What a caller needs, by port; a port without the route is not there."""
    summary: str
    answer: str
    """The schema of the answer; `text/…` is a content type of its own, empty is never a success."""
    takes: str = ""
    """The schema of the body, if there is one."""
    parameters: tuple[str, ...] = ()
    """Names of headers and query parameters, as in `document.PARAMETERS`."""
    errors: ErrorKinds = ()
    is_bare: bool = False
    """The body may be left out."""
    may_say_no: bool = False
    """A 503 with the same form as the 200 says that it is not ready."""


def _both(data: Role, control: Role = Role.READ_METRICS) -> dict[str, Role]:
    return {DATA: data, CONTROL: control}


_READ = {CONTROL: Role.READ_METRICS}
_OPERATE = {CONTROL: Role.OPERATE}
_PREDICT = {DATA: Role.PREDICT}
_INFER_HEADERS = (
    "X-Request-Timeout-Ms",
    "X-Request-Priority",
    "X-Model-Version",
    "X-Routing-Key",
    "X-Prediction-Id",
    "X-Request-Id",
)
_CHANGE_PARAMETERS = ("dry_run", "If-Match", "Idempotency-Key", "X-Tidegate-Actor")
_RELEASE = "/v1/models/{model}/release"


def _of_version(version: str) -> list[Operation]:
    """Return what a model has with and without a version in the path."""
    v2, v1 = "/v2/models/{model}" + version, "/v1/models/{model}" + version
    one, get = _both(Role.PREDICT), "GET"
    return [
        Operation(get, v2, one, "The model's tensors", "Model", errors=FINDING),
        Operation(
            get,
            v2 + "/ready",
            one,
            "Does it answer?",
            "ModelReady",
            errors=FINDING,
            may_say_no=True,
        ),
        Operation(get, v2 + "/config", one, "Triton's form", "ModelConfig", errors=FINDING),
        Operation(
            get,
            v2 + "/stats",
            _both(Role.READ_METRICS),
            "Statistics of all workers",
            "Statistics",
            errors=(*ASKING_CONTROL, errors.VersionNotFound),
        ),
        Operation(
            "POST",
            v2 + "/infer",
            _PREDICT,
            "An inference",
            "InferResponse",
            "InferRequest",
            (*_INFER_HEADERS, "Inference-Header-Content-Length"),
            INFERRING,
        ),
        Operation(
            "POST",
            v1 + ":predict",
            _PREDICT,
            "A prediction in the V1 protocol",
            "V1Response",
            "V1Request",
            _INFER_HEADERS,
            INFERRING,
        ),
        Operation(get, v1 + ":predict", _PREDICT, "Always 405: predictions are posted", ""),
        Operation(
            get, v1, _PREDICT, "States of versions", "V1Model", errors=FINDING, may_say_no=True
        ),
    ]


def _change(method: str, name: str, parameters: tuple[str, ...] = ()) -> Operation:
    return Operation(
        method,
        f"{_RELEASE}/{name}",
        _OPERATE,
        f"Change a release: {name}" if method == "POST" else f"End the {name}",
        "ReleaseChange",
        "ReleaseCall" if method == "POST" else "",
        (*_CHANGE_PARAMETERS, *parameters),
        CHANGING,
        is_bare=True,
    )


OPERATIONS: list[Operation] = [
    *(
        Operation("GET", path, _both(Role.PREDICT), "Name, version and extensions", "Server")
        for path in ("/v2", "/v2/")
    ),
    Operation(
        "GET", "/v2/health/live", _both(Role.OPEN, Role.OPEN), "Does the event loop turn?", "Health"
    ),
    Operation(
        "GET",
        "/v2/health/ready",
        _both(Role.OPEN, Role.OPEN),
        "Should requests be sent here?",
        "Health",
        may_say_no=True,
    ),
    Operation("GET", "/v2/models", _both(Role.PREDICT), "Names of the models", "Models"),
    Operation("GET", "/v1/models", _PREDICT, "Names of the models", "Models"),
    Operation(
        "GET",
        "/v2/models/stats",
        _both(Role.READ_METRICS),
        "Statistics of all models",
        "Statistics",
        errors=ASKING_CONTROL,
    ),
    *_of_version(""),
    *_of_version("/versions/{version}"),
    Operation(
        "POST",
        "/v2/repository/index",
        _both(Role.READ_METRICS),
        "Every version, its state, and why it is not served",
        "Index",
        "IndexRequest",
        errors=(errors.InvalidRequest, errors.ControlUnavailable),
        is_bare=True,
    ),
    *(
        Operation(
            "POST",
            "/v2/repository/models/{model}/" + verb,
            _OPERATE,
            f"{verb.capitalize()} a model",
            "Loaded",
            "LoadRequest",
            errors=LOADING,
            is_bare=True,
        )
        for verb in ("load", "unload")
    ),
    Operation(
        "POST",
        "/v2/repository/models/{model}/{verb}",
        {DATA: Role.OPERATE},
        "Always 404: the control port does it",
        "",
    ),
    Operation(
        "GET",
        "/v1/models/{model}/drift",
        _READ,
        "What has drifted",
        "Drift",
        parameters=("version",),
        errors=(
            *READING,
            errors.VersionNotFound,
            errors.ModelUnavailable,
            operator_errors.MonitoringOff,
        ),
    ),
    Operation(
        "POST",
        "/v1/feedback",
        {CONTROL: Role.PREDICT},
        "True labels of predictions",
        "FeedbackResponse",
        "FeedbackRequest",
        errors=(
            errors.BadJson,
            errors.InvalidRequest,
            operator_errors.FeedbackBusy,
            operator_errors.StoreUnavailable,
        ),
    ),
    Operation(
        "GET",
        "/v1/models/{model}/performance",
        _READ,
        "What labels say of a model",
        "Performance",
        errors=READING,
    ),
    Operation("GET", _RELEASE, _READ, "How a release stands", "Release", errors=READING),
    Operation(
        "GET",
        _RELEASE + "/history",
        _READ,
        "The last changes of a release",
        "History",
        parameters=("limit", "before", "verify"),
        errors=READING,
    ),
    Operation(
        "GET",
        _RELEASE + "/mismatches",
        _READ,
        "Rows that shadows answered differently",
        "Mismatches",
        parameters=("version",),
        errors=(*READING, errors.VersionNotFound),
    ),
    *(
        _change("POST", name)
        for name in ("shadow", "canary", "promote", "rollback", "approve", "hold", "resume")
    ),
    *(_change("DELETE", name, ("version", "reason", "actor")) for name in ("shadow", "canary")),
    Operation("GET", "/metrics", _READ, "Metrics in Prometheus' form", "text/plain"),
    Operation("GET", "/openapi.json", _READ, "This document", "OpenApi"),
]
