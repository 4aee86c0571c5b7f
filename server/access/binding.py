"""Where ports may be bound without anything that recognizes callers. Pure.

Decides that an address which others than this machine can reach needs keys, certificates or tokens,
unless the operator says that something else guards it.
"""

from server.access.browsers import is_loopback
from server.settings import Settings


def open_hosts(settings: Settings) -> list[str]:
    """Return the settings of hosts that others than this machine can reach."""
    return [
        name for name in ("host", "control_host") if not is_loopback(str(getattr(settings, name)))
    ]


def needs_keys(settings: Settings) -> bool:
    """Whether nobody may do anything before callers can be recognized."""
    return settings.insecure == "off" and bool(open_hosts(settings))
