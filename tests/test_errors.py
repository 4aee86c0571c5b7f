"""Every error that a caller can meet is documented, has a code of its own and a status."""

import inspect
import re
from types import ModuleType

import pytest

from server import errors, operator_errors
from server.errors import ConfigError, ModelInvalid, TidegateError
from server.protocol.errors import STATUS

MODULES = (errors, operator_errors)


def classes(module: ModuleType) -> list[type[TidegateError]]:
    """Return the errors that a module defines, in its order."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, TidegateError)
        and value is not TidegateError
        and value.__module__ == module.__name__
    ]


CLASSES = [error for module in MODULES for error in classes(module)]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_tree_in_the_docstring_lists_every_class_in_order(module: ModuleType) -> None:
    """A class that the docstring does not know, or knows elsewhere, fails here."""
    assert module.__doc__ is not None
    listed = re.findall(r"^ {8}(\w+) {2,}\S", module.__doc__, re.MULTILINE)

    assert listed == [error.__name__ for error in classes(module)]


def test_every_error_has_a_code_of_its_own() -> None:
    """Two errors with one code could not be told apart by a client."""
    codes = [error.code for error in CLASSES]

    assert len({*codes, TidegateError.code}) == len(codes) + 1
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def test_every_error_has_a_status_and_is_looked_up_by_its_own_class() -> None:
    """The table has a row for each class, and no class hides below another one."""
    assert set(STATUS) == set(CLASSES)
    assert set(CLASSES) == set(TidegateError.__subclasses__())
    assert not any(error.__subclasses__() for error in CLASSES)


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.code)
def test_a_retry_is_advised_only_where_the_server_was_not_ready(error: type[TidegateError]) -> None:
    """Retry-After stands on 503 and 429 only: what is wrong stays wrong however often it comes."""
    seconds = error.retry_after_seconds

    assert seconds is None or (STATUS[error] in (503, 429) and seconds >= 1)
    assert error.__doc__


def test_a_broken_version_says_what_would_help() -> None:
    """`fix` is kept beside the text, and is empty where nobody knows."""
    assert ModelInvalid("broken", fix="export it again").fix == "export it again"
    assert ModelInvalid("broken").fix == ""


def test_a_config_error_keeps_every_problem() -> None:
    """The text is all problems, one a line."""
    error = ConfigError(["--port: wrong", "TIDEGATE_HOST: wrong"])

    assert error.problems == ["--port: wrong", "TIDEGATE_HOST: wrong"]
    assert str(error) == "--port: wrong\nTIDEGATE_HOST: wrong"
