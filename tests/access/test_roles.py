"""Which role opens what."""

import pytest

from server.access.roles import GIVEN_ROLES, Role, opens


@pytest.mark.parametrize("asked", Role)
@pytest.mark.parametrize("given", GIVEN_ROLES)
def test_a_role_opens_itself_and_what_is_open(given: Role, asked: Role) -> None:
    """Operators see what they change; no other role includes another."""
    includes = {(Role.OPERATE, Role.READ_METRICS)}

    assert opens([given], asked) == (asked in (given, Role.OPEN) or (given, asked) in includes)


@pytest.mark.parametrize("asked", GIVEN_ROLES)
def test_without_a_role_only_what_is_open_opens(asked: Role) -> None:
    """A key without roles is good for nothing."""
    assert not opens([], asked)
    assert opens([], Role.OPEN)
    assert opens(GIVEN_ROLES, asked)
