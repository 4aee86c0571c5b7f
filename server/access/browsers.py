"""Whether a page of somebody else is behind a request that a browser makes. Pure.

Decides by two headers that a page cannot set. `Origin` names the page that asks: another site's
must not change anything here (CSRF). `Host` names what the browser believes to talk to: on a
port without keys it must be a name that nobody outside can own, or a page could point its own name
at us and read the answers (DNS rebinding).
"""

import ipaddress
import re
from collections.abc import Container, Iterable
from urllib.parse import urlsplit

from server.errors import CrossOrigin

_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[0-9a-z._-]+)(?::[0-9]*)?")
"""A name or an address, and perhaps a port."""
_PRIVATE = (".internal", ".local", ".home.arpa", ".svc")
"""Ends of names that no registry gives away; the last one is that of services in Kubernetes."""


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


def check_host(headers: Iterable[tuple[bytes, bytes]], bound: str, allowed: Container[str]) -> None:
    """See that a request names this gateway by an address, or a name that is no page's own.

    On a loopback address that is localhost, `bound` (where the port listens), or one that is
    allowed. Where others can reach us, it may be a name of a private network too: whoever can make
    such names there reaches us without a browser.

    Raises:
        CrossOrigin: it does not.

    """
    matched = _HOST.fullmatch(dict(headers).get(b"host", b"").decode("latin-1").lower())
    host = matched[1].strip("[]") if matched else ""
    if not host or not (
        _address(host) is not None
        or host in ("localhost", bound.lower())
        or host.endswith(".localhost")
        or host in allowed
        or (not is_loopback(bound) and _is_private(host))
    ):
        raise CrossOrigin(
            "while there are no keys, Host must be an IP address or a name in control_allowed_hosts"
        )


def _is_private(host: str) -> bool:
    """Whether nobody can register a name: it has one part only, or ends as those of sites do."""
    return "." not in host or host.endswith(_PRIVATE)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
