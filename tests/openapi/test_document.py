"""The OpenAPI document: whole, and sound enough for tools to read."""

import re
from typing import Any

import pytest

from server.errors import ConfigError, TidegateError
from server.openapi.document import document
from server.openapi.operations import CONTROL, DATA, OPERATIONS
from server.operator_errors import DataInvalid, ProfileInvalid
from server.protocol.errors import STATUS

NEVER_ANSWERED: set[type[TidegateError]] = {ConfigError, DataInvalid, ProfileInvalid}
"""Errors that end a start or a command, and are in no answer."""


def operations(port: str = "") -> list[dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = document(port)["paths"]
    return [operation for path in paths.values() for operation in path.values()]


def test_every_operation_is_in_it() -> None:
    """Both ports together, and each alone."""
    assert len(operations()) == len(OPERATIONS)
    for port in (DATA, CONTROL):
        assert len(operations(port)) == sum(port in one.roles for one in OPERATIONS)


def test_every_code_that_may_be_answered_is_in_it() -> None:
    """With its status, at the operations that answer it; a fault of ours stands at none."""
    told: dict[str, int] = {}
    for operation in operations():
        for status, response in operation["responses"].items():
            if status != "200":
                told |= dict.fromkeys(response["description"].split(", "), int(status))

    assert told == {k.code: int(v) for k, v in STATUS.items() if k not in NEVER_ANSWERED}
    assert TidegateError.code not in told
    others = {TidegateError.code, *(kind.code for kind in NEVER_ANSWERED)}
    assert document()["x-tidegate-codes"].keys() == told.keys() | others


def test_operations_have_names_of_their_own() -> None:
    """Generated clients call functions by them."""
    names = [operation["operationId"] for operation in operations()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_.\-]+", name) for name in names)


@pytest.mark.parametrize("port", ["", DATA, CONTROL])
def test_what_it_refers_to_is_there(port: str) -> None:
    """No reference leads nowhere, and each variable of a path is a parameter."""
    whole = document(port)
    for name in re.findall(r"#/components/schemas/(\w+)", str(whole)):
        assert name in whole["components"]["schemas"]
    for path, methods in whole["paths"].items():
        for operation in methods.values():
            given = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert given == set(re.findall(r"{(\w+)}", path))
