"""What counts as one address, wherever something is counted by address. Pure."""

import ipaddress

_MAX_LENGTH = 64


def group(address: str) -> str:
    """Return what counts as one address: of IPv6 the network of a host, who has all of it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_MAX_LENGTH]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
