"""What a caller may be allowed to do. Pure.

Decides the roles there are, and which of them opens a route. There is no role that may do
everything: a key for a dashboard or for an application cannot change what is served.
"""

from collections.abc import Collection
from enum import StrEnum


class Role(StrEnum):
    """What a route asks of its caller, and what a key may be given (all but OPEN)."""

    OPEN = "open"
    """Anybody may ask: health, and the page on which a key is entered."""
    PREDICT = "predict"
    """Ask models, see their tensors, and send the labels of their answers."""
    READ_METRICS = "read-metrics"
    """See what is served and how it does: index, statistics, drift, releases, metrics."""
    OPERATE = "operate"
    """Change what is served: load, unload, promote, roll back. Includes READ_METRICS."""


GIVEN_ROLES = (Role.PREDICT, Role.READ_METRICS, Role.OPERATE)
"""Roles that a key can have."""


def opens(roles: Collection[Role], asked: Role) -> bool:
    """Whether somebody with these roles has the one that is asked for.

    Who may change a release has to see how it stands, so OPERATE includes READ_METRICS.
    """
    if asked is Role.OPEN or asked in roles:
        return True
    return asked is Role.READ_METRICS and Role.OPERATE in roles
