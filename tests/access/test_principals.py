"""What a caller who has been recognized may do."""

import pytest

from server.access.principals import Principal, check, is_name
from server.access.roles import Role
from server.errors import Forbidden

EVERYTHING = Principal("all", [Role.PREDICT, Role.OPERATE])
ONE_MODEL = Principal("one", [Role.PREDICT, Role.READ_METRICS], ["iris"])


def test_models_limit_predictions_only() -> None:
    """A dashboard's key sees all models; a key for one model asks that one."""
    assert ONE_MODEL.allows(Role.PREDICT, "iris")
    assert not ONE_MODEL.allows(Role.PREDICT, "digits")
    assert ONE_MODEL.allows(Role.PREDICT, None)
    assert ONE_MODEL.allows(Role.READ_METRICS, "digits")
    assert EVERYTHING.allows(Role.PREDICT, "digits")


@pytest.mark.parametrize(
    ("role", "model", "lacks"),
    [
        (Role.OPERATE, "iris", "role 'operate'"),
        (Role.PREDICT, "digits", "model 'digits'"),
        (Role.PREDICT, "d" * 500, f"model '{'d' * 128}'"),
    ],
)
def test_a_refusal_names_what_the_key_lacks(role: Role, model: str, lacks: str) -> None:
    """So that its owner knows which key to ask for."""
    check(ONE_MODEL, Role.PREDICT, "iris")
    with pytest.raises(Forbidden) as refused:
        check(ONE_MODEL, role, model)

    assert str(refused.value) == f"'one' may not do this: its key does not have the {lacks}"


@pytest.mark.parametrize("name", ["a", "Zoë's laptop", "x" * 100])
def test_a_name_is_a_printable_text(name: str) -> None:
    """It stands in the audit and in logs."""
    assert is_name(name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "\x1b[1m", "x" * 101])
def test_other_texts_are_no_names(name: str) -> None:
    """They would hide, or look like another line."""
    assert not is_name(name)
