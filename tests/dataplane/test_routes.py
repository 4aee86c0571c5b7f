"""Who answers for a model, a version or a path, and with which error nobody does."""

import sys
from typing import Any, cast

import pytest

from server.dataplane.batch_columns import KEYED, PINNED, SPLIT
from server.dataplane.routes import ModelRoute, Routes, RouteTable
from server.dataplane.served import ServedVersion
from server.dataplane.targets import bucket_bp
from server.errors import (
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    ModelUnavailable,
    VersionNotFound,
)
from server.protocol.request_headers import PLAIN, InferHeaders
from tests.support.canaries import a_canary


def fake(name: str) -> ServedVersion:
    """Stand in for a served version, which routes only hand on."""
    return cast("ServedVersion", sys.intern(name))


LOADED = {"1": fake("one"), "2": fake("two")}
TABLE = RouteTable(
    {
        "live": ModelRoute("2", LOADED, {"3": True, "4": False}),
        "waiting": ModelRoute(None, {}, {"1": True, "2": False}),
        "broken": ModelRoute(None, {}, {"1": False}),
        "dark": ModelRoute(None, LOADED),
        "empty": ModelRoute(None, {}),
    }
)


@pytest.mark.parametrize(
    ("model", "version", "answer"),
    [("live", None, "two"), ("live", "1", "one"), ("live", "2", "two"), ("dark", "1", "one")],
)
def test_who_answers(model: str, version: str | None, answer: str) -> None:
    """The live version answers when none is named, and otherwise just the one that is."""
    assert TABLE.find(model, version).served is fake(answer)


@pytest.mark.parametrize(
    ("model", "version", "error", "text"),
    [
        ("nobody", None, ModelNotFound, "model 'nobody' is not found"),
        ("nobody", "1", ModelNotFound, "model 'nobody' is not found"),
        ("live", "9", VersionNotFound, "model 'live' has no version '9'"),
        ("live", "02", VersionNotFound, "has no version '02'"),
        ("live", "3", ModelLoading, "model 'live' version 3 is loading"),
        ("live", "4", ModelUnavailable, "model 'live' version 4 cannot be served"),
        ("waiting", None, ModelLoading, "model 'waiting' is loading"),
        ("waiting", "1", ModelLoading, "version 1 is loading"),
        ("waiting", "2", ModelUnavailable, "version 2 cannot be served"),
        ("broken", None, ModelUnavailable, "model 'broken' cannot be served; the control port"),
        ("dark", None, ModelLoading, "model 'dark' is loading"),
        ("empty", None, ModelUnavailable, "model 'empty' cannot be served"),
        ("x" * 500, None, ModelNotFound, f"model '{'x' * 128}' is not found"),
        ("live", "9" * 500, VersionNotFound, f"version '{'9' * 32}'"),
    ],
)
def test_who_does_not_answer_and_why(model: str, version: Any, error: Any, text: str) -> None:
    """Unknown, on its way and failed are told apart; what the caller sent is kept short."""
    with pytest.raises(error) as raised:
        TABLE.find(model, version)
    assert text in str(raised.value)
    assert len(str(raised.value)) < 250


def test_hot_paths_are_those_of_loaded_versions() -> None:
    """Each loaded version has its path, and the live one the model's path as well."""
    hot: dict[bytes, object] = {path: target.served for path, target in TABLE.hot.items()}
    assert hot == {
        b"/v2/models/live/infer": "two",
        b"/v2/models/live/versions/1/infer": "one",
        b"/v2/models/live/versions/2/infer": "two",
        b"/v2/models/dark/versions/1/infer": "one",
        b"/v2/models/dark/versions/2/infer": "two",
    }


def test_a_table_never_changes() -> None:
    """A request that reads the table once sees one state from start to end."""
    with pytest.raises(TypeError):
        TABLE.hot[b"/x"] = TABLE.find("live", None)  # type: ignore[index]
    assert Routes().table.hot == {}


def canary(version: str = "2", weight_bp: int = 2500, live: str | None = "1") -> RouteTable:
    """Return a table of one model with two loaded versions and a plan for a canary."""
    plan = a_canary(version, weight_bp, "salt")
    return RouteTable({"m": ModelRoute(live, LOADED, {"3": True}, 12, plan)})


def test_what_answers_says_who_and_under_which_generation() -> None:
    """Whatever way a request came, the headers name the version that answers it."""
    table = canary()
    for target, version in (
        (table.find("m", "1"), b"1"),
        (table.find("m", "2"), b"2"),
        (table.choose("m", None, PLAIN, 0), b"2"),
        (table.choose("m", None, PLAIN, 9999), b"1"),
    ):
        assert target.origin == [(b"x-model-version", version), (b"x-release-generation", b"12")]
    assert TABLE.find("live", None).origin[1] == (b"x-release-generation", b"0")


def test_a_canary_takes_its_share_of_requests_that_name_no_version() -> None:
    """What is drawn below the weight, or hashed below it, is the canary's; what is named is not."""
    table = canary()
    served = [table.choose("m", None, PLAIN, draw).served for draw in (0, 2499, 2500, 9999)]
    assert served == [fake("two"), fake("two"), fake("one"), fake("one")]
    assert table.hot[b"/v2/models/m/infer"].split is not None
    for key in (b"a", b"b", b"c", b"d", b"e", b"f"):
        headers = InferHeaders(routing_key=key)
        targets = [table.choose("m", None, headers, draw) for draw in (0, 9999)]
        expected = fake("two" if bucket_bp(b"salt", key) < 2500 else "one")
        assert [(one.served, one.marks) for one in targets] == [(expected, SPLIT | KEYED)] * 2


def test_only_what_a_split_decided_counts_for_one_of_the_two() -> None:
    """Named versions are marked as such, in the path and by the header; without a canary, none."""
    table = canary()
    assert [table.choose("m", None, PLAIN, draw).marks for draw in (0, 9999)] == [SPLIT] * 2
    for version in ("1", "2"):
        pinned = InferHeaders(model_version=version, routing_key=b"k")
        for by_path, headers in ((version, PLAIN), (None, pinned), (version, pinned)):
            target = table.choose("m", by_path, headers, 0)
            assert target.is_named
            assert (target.marks, target.served) == (PINNED, LOADED[version])
    assert (TABLE.find("live", None).marks, TABLE.find("live", None).split) == (0, None)


@pytest.mark.parametrize(
    ("table", "live"),
    [
        (canary(version="3"), "one"),  # Not loaded.
        (canary(version="9"), "one"),  # Not known.
        (canary(version="1"), "one"),  # Live itself.
        (canary(weight_bp=0), "one"),
        (canary(weight_bp=10_000), "two"),
    ],
)
def test_without_a_share_or_a_loaded_canary_one_version_answers_all(
    table: RouteTable, live: str
) -> None:
    """The live version, unless the canary takes everything."""
    draws = {table.choose("m", None, PLAIN, draw).served for draw in range(0, 10_000, 499)}
    assert draws == {fake(live)}


def test_a_canary_never_answers_in_place_of_a_live_version_that_is_missing() -> None:
    """It was let through to a share of the requests, and nobody let it through to all."""
    with pytest.raises(ModelLoading):
        canary(live=None).choose("m", None, PLAIN, 0)


def test_a_version_that_is_pinned_and_does_not_answer_is_told_as_if_named_in_the_path() -> None:
    """Unknown ones are not found, and others are on their way; two at once are refused."""
    table = canary()
    with pytest.raises(VersionNotFound, match="model 'm' has no version '9'"):
        table.choose("m", None, InferHeaders(model_version="9"), 0)
    with pytest.raises(ModelLoading, match="model 'm' version 3 is loading"):
        table.choose("m", None, InferHeaders(model_version="3"), 0)
    with pytest.raises(InvalidRequest, match="names version '1' and X-Model-Version '2'"):
        table.choose("m", "1", InferHeaders(model_version="2"), 0)
