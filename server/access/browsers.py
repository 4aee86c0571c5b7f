"""Whether a page of somebody else is behind a request that a browser makes. Pure.

Decides by two headers that a page cannot set. `Origin` names the page that asks: another site's
must not change anything here (CSRF). `Host` names what the browser believes to talk to: on a
loopback address without keys it must be a name of this machine, or a page could point its own
name at us and read the answers (DNS rebinding).
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from server.errors import CrossOrigin


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def check_origin(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """See that no other site's page makes a request.

    Raises:
        CrossOrigin: one does.

    """
    named = dict(headers)
    origin = named.get(b"origin")
    if origin is None:
        return
    own = named.get(b"host", b"").decode("latin-1").lower()
    try:
        theirs = urlsplit(origin.decode("latin-1")).netloc.lower()
    except ValueError:
        theirs = ""
    if not own or theirs != own:
        raise CrossOrigin("a page of another site may not call this port: Origin is not its Host")


def check_host(headers: Iterable[tuple[bytes, bytes]], configured: str) -> None:
    """See that a request names this machine: an address, localhost, or the configured host.

    Raises:
        CrossOrigin: it does not.

    """
    host = _name(dict(headers).get(b"host", b"").decode("latin-1").lower())
    if host is None or not (
        host in ("localhost", configured.lower())
        or host.endswith(".localhost")
        or _address(host) is not None
    ):
        raise CrossOrigin(
            "Host must be localhost, an IP address or the configured host while there are no keys"
        )


def _name(netloc: str) -> str | None:
    try:
        return urlsplit(f"//{netloc}").hostname
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
