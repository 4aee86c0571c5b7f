"""Who answers for a model, a version or a path, and with which error nobody does."""

import sys
from typing import Any, cast

import pytest

from server.dataplane.routes import ModelRoute, Routes, RouteTable
from server.dataplane.served import ServedVersion
from server.errors import ModelLoading, ModelNotFound, ModelUnavailable, VersionNotFound


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
    assert TABLE.find(model, version) is fake(answer)


@pytest.mark.parametrize(
    ("model", "version", "error", "text"),
    [
        ("nobody", None, ModelNotFound, "model 'nobody' is not found"),
        ("nobody", "1", ModelNotFound, "model 'nobody' is not found"),
        ("live", "9", VersionNotFound, "model 'live' has no version '9'"),
        ("live", "02", VersionNotFound, "has no version '02'"),
        ("live", "3", ModelLoading, "model 'live' version 3 is loading"),
        ("live", "4", ModelUnavailable, "model 'live' version 4 could not be loaded"),
        ("waiting", None, ModelLoading, "model 'waiting' is loading"),
        ("waiting", "1", ModelLoading, "version 1 is loading"),
        ("waiting", "2", ModelUnavailable, "version 2 could not be loaded"),
        ("broken", None, ModelUnavailable, "model 'broken' could not be loaded; the control port"),
        ("dark", None, ModelLoading, "model 'dark' is loading"),
        ("empty", None, ModelUnavailable, "model 'empty' could not be loaded"),
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
    hot: dict[bytes, object] = dict(TABLE.hot)
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
        TABLE.hot[b"/x"] = fake("x")  # type: ignore[index]
    assert Routes().table.hot == {}
