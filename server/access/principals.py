"""Who calls, and whether that is enough. Pure.

Decides from a principal, a role and a model whether a request may go on. Does not know how a
principal was recognized: by a key, a certificate, a token of an identity provider or a session.
"""

from collections.abc import Collection
from dataclasses import dataclass

from server.access.roles import Role, opens
from server.errors import Forbidden

MAX_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that has been recognized."""

    name: str
    """The name of its key: the actor of the changes it makes."""
    roles: Collection[Role]
    models: Collection[str] | None = None
    """Models that it may ask; None for all of them."""
    expires_seconds: float | None = None
    """When it is nobody any more, in seconds of wall time since the epoch; None for never."""
    key_id: str = ""
    """Of its key; empty if it has none."""

    def allows(self, role: Role, model: str | None = None) -> bool:
        """Whether it may do what needs `role`, on `model` if that is one model's matter."""
        return opens(self.roles, role) and (
            role is not Role.PREDICT or model is None or self.may_ask(model)
        )

    def may_ask(self, model: str) -> bool:
        """Whether `model` is among its models; does not look at its roles."""
        return self.models is None or model in self.models


def check(principal: Principal, role: Role, model: str | None) -> None:
    """See that a principal may do what needs `role`, on `model` if that is one model's matter.

    Raises:
        Forbidden: it may not; names the role or the model.

    """
    if principal.allows(role, model):
        return
    lacks = f"model '{str(model)[:128]}'" if opens(principal.roles, role) else f"role '{role}'"
    raise Forbidden(f"'{principal.name}' may not do this: its key does not have the {lacks}")


def is_name(text: str) -> bool:
    """Whether a principal may be called so: printable, not too long, without spaces around it."""
    return 0 < len(text) <= MAX_NAME_LENGTH and text.isprintable() and text == text.strip()
