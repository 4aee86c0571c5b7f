"""From an error to an HTTP answer: one form of body, and statuses that clients rely on."""

import orjson
import pytest

from server.errors import (
    ConfigError,
    ModelInvalid,
    Overloaded,
    QueueFull,
    QuotaExceeded,
    TidegateError,
    UnsupportedEncoding,
)
from server.operator_errors import ReleaseRefused
from server.protocol.errors import INTERNAL_TEXT, STATUS, error_answer, refusal
from server.protocol.http_answer import Headers, header_lines, response_head
from server.protocol.request_headers import new_request_id

STATUS_OF_CODE = {
    "bad_http": 400,
    "headers_too_large": 431,
    "url_too_long": 414,
    "request_timeout": 408,
    "not_found": 404,
    "method_not_allowed": 405,
    "payload_too_large": 413,
    "unsupported_encoding": 415,
    "bad_json": 400,
    "bad_binary": 400,
    "invalid_request": 400,
    "invalid_input": 400,
    "data_check_failed": 400,
    "model_not_found": 404,
    "version_not_found": 404,
    "model_loading": 503,
    "model_unavailable": 503,
    "queue_full": 503,
    "overloaded": 503,
    "quota_exceeded": 429,
    "memory_budget": 503,
    "quarantined": 422,
    "unauthenticated": 401,
    "too_many_failures": 429,
    "forbidden": 403,
    "cross_origin": 403,
    "too_many_connections": 503,
    "shutting_down": 503,
    "deadline_queue": 504,
    "deadline_run": 504,
    "model_error": 500,
    "non_finite_output": 500,
    "output_too_large": 500,
    "model_invalid": 422,
    "profile_invalid": 422,
    "data_invalid": 422,
    "monitoring_off": 409,
    "feedback_busy": 429,
    "release_refused": 409,
    "stale_generation": 412,
    "idempotency_conflict": 422,
    "load_timeout": 504,
    "state_not_saved": 507,
    "store_unavailable": 503,
    "control_unavailable": 503,
    "config": 500,
}


def test_codes_and_statuses_are_what_clients_were_told() -> None:
    """Codes and statuses are part of the API: a change of either has to be made here as well."""
    assert {error.code: status.value for error, status in STATUS.items()} == STATUS_OF_CODE


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.code)
def test_every_error_is_answered_in_the_one_form(kind: type[TidegateError]) -> None:
    """Text, code and request id, as JSON, with the headers that go with them."""
    error = kind(["wrong"]) if kind is ConfigError else kind("wrong")

    answer = error_answer(error, "id-1")

    headers = dict(answer.headers)
    assert answer.status == STATUS_OF_CODE[kind.code]
    assert orjson.loads(answer.body) == {"error": "wrong", "code": kind.code, "request_id": "id-1"}
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"content-length"] == b"%d" % len(answer.body)
    assert headers[b"x-request-id"] == b"id-1"
    assert (b"retry-after" in headers) == (kind.retry_after_seconds is not None)
    assert len(headers) == len(answer.headers), "a header stands there twice"


@pytest.mark.parametrize("code", ["queue_full", "memory_budget", "shutting_down", "model_loading"])
def test_a_passing_trouble_says_when_to_come_back(code: str) -> None:
    """Retry-After is whole seconds, as HTTP wants it."""
    kind = next(error for error in STATUS if error.code == code)

    assert dict(error_answer(kind("later"), "id").headers)[b"retry-after"] == b"1"


def test_an_unforeseen_error_tells_nothing_of_itself() -> None:
    """Paths and internals of an exception stay in the log; the caller gets a fixed text."""
    answer = error_answer(ValueError("/secret/path"), "id-2")

    assert answer.status == 500
    assert orjson.loads(answer.body) == {
        "error": INTERNAL_TEXT,
        "code": "internal",
        "request_id": "id-2",
    }


def test_a_broken_version_comes_with_its_fix() -> None:
    """The fix is a member of its own, and absent where there is none."""
    with_fix = orjson.loads(error_answer(ModelInvalid("broken", fix="mend it"), "id").body)
    without = orjson.loads(error_answer(ModelInvalid("broken"), "id").body)

    assert with_fix["fix"] == "mend it"
    assert "fix" not in without


def test_a_refused_change_lists_what_is_in_its_way() -> None:
    """Programs need not take the text apart."""
    error = ReleaseRefused("no: not loaded; not proven", missing=("not loaded", "not proven"))

    assert orjson.loads(error_answer(error, "id").body)["missing"] == ["not loaded", "not proven"]


def test_an_unknown_coding_is_told_the_known_ones() -> None:
    """RFC 9110 §15.5.16: a 415 for a content coding names the acceptable ones."""
    answer = error_answer(UnsupportedEncoding("br is not"), "id")

    assert dict(answer.headers)[b"accept-encoding"] == b"gzip, deflate"


SHED = [kind for kind in STATUS if kind.shed_reason is not None]


@pytest.mark.parametrize("kind", SHED, ids=lambda kind: kind.code)
def test_a_refusal_for_want_of_room_says_which_bound_it_was(kind: type[TidegateError]) -> None:
    """Beside the code, for those who look at headers only, proxies say."""
    headers = dict(error_answer(kind("full"), "id").headers)

    assert headers[b"x-shed-reason"].decode() == kind.shed_reason
    assert STATUS[kind] in (429, 503)


@pytest.mark.parametrize(
    "error",
    [
        QueueFull("no room"),
        Overloaded("later", shed_reason="deadline", retry_after_seconds=3),
        QuotaExceeded("too often", retry_after_seconds=17),
    ],
    ids=lambda error: error.code,
)
def test_a_quick_refusal_has_the_bytes_of_a_careful_one(error: TidegateError) -> None:
    """It costs a fifth, and nobody can tell the difference."""
    default: Headers = [(b"date", b"today"), (b"x-more", b"too")]
    for identity in (new_request_id(), new_request_id()):
        answer = error_answer(error, identity)
        expected = response_head(answer, default, close=False) + answer.body

        assert refusal(error, header_lines(default), identity) == expected
