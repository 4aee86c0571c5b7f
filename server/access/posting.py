"""Which addresses the webhook may be posted to. Pure.

Decides that a name must not lead into the networks around the gateway: whoever controls the name
could have it post to a machine's metadata service or to a neighbour. What the operator wrote as an
address of this machine is meant so.
"""

import ipaddress

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# These are global to Python's library, and may stand for any IPv4 address, or for many machines.
_TUNNELS = tuple(
    ipaddress.ip_network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10")
)


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's, and of one machine.

    Private, loopback, link-local, shared (100.64/10), multicast and reserved addresses are not, nor
    are those of IPv6 that stand for one of IPv4 (mapped, NAT64, 6to4, Teredo).
    """
    try:
        parsed: _Address = ipaddress.ip_address(address)
    except ValueError:
        return False  # Such as one with a zone: link-local.
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    is_special = parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified
    if not parsed.is_global or is_special:
        return False
    return not any(parsed in network for network in _TUNNELS if network.version == parsed.version)


def is_this_machine(host: str) -> bool:
    """Whether a host, as it stands in an address of the web, plainly means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # 0x7f.1 and 2130706433 do mean it, and hide it.
