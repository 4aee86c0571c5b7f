"""How long a caller will wait: what headers of the field say, and which of them holds.

Decides what a deadline header means and that the shortest of all holds. Ours, X-Request-Timeout-Ms,
must be right; those of proxies and of gRPC are for others first, and are ignored when they are
malformed, as a gRPC proxy does. All are relative: no caller's clock is trusted.

Sources: grpc/doc/PROTOCOL-HTTP2.md (grpc-timeout, at most 8 digits and a unit); Envoy's router
(x-envoy-expected-rq-timeout-ms towards us, x-envoy-upstream-rq-timeout-ms towards Envoy, where 0
means none).
"""

import re
from collections.abc import Mapping

from server.errors import InvalidRequest

TIMEOUT = b"x-request-timeout-ms"
GRPC_TIMEOUT = b"grpc-timeout"
ENVOY_EXPECTED = b"x-envoy-expected-rq-timeout-ms"
ENVOY_UPSTREAM = b"x-envoy-upstream-rq-timeout-ms"
HEADERS = (TIMEOUT, GRPC_TIMEOUT, ENVOY_EXPECTED, ENVOY_UPSTREAM)

_GRPC = re.compile(rb"([0-9]{1,8})([HMSmun])")
_GRPC_UNIT_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX_DIGITS = 9


def in_headers(noted: Mapping[bytes, bytes]) -> float | None:
    """Return the shortest time in seconds that the headers allow; None if they allow any.

    Raises:
        InvalidRequest: X-Request-Timeout-Ms is not a positive whole number.

    """
    found: list[float | None] = []
    if TIMEOUT in noted:
        ours = _milliseconds(noted[TIMEOUT])
        if ours is None:
            raise InvalidRequest(
                "X-Request-Timeout-Ms must be a positive whole number of milliseconds, "
                f"got '{noted[TIMEOUT][:32].decode('latin-1')}'"
            )
        found.append(ours)
    found += [_milliseconds(noted.get(name, b"")) for name in (ENVOY_EXPECTED, ENVOY_UPSTREAM)]
    found.append(_grpc(noted.get(GRPC_TIMEOUT, b"")))
    return min([seconds for seconds in found if seconds is not None], default=None)


def shortest(
    in_body: float | None, in_headers: float | None, default: float, longest: float
) -> float:
    """Return how long a request may take, in seconds; `default` if its caller does not say."""
    if in_body is None and in_headers is None:
        return default
    asked = [seconds for seconds in (in_body, in_headers) if seconds is not None]
    return min([*asked, longest])


def _milliseconds(value: bytes) -> float | None:
    if not value.isdigit() or len(value) > _MAX_DIGITS or int(value) == 0:
        return None
    return int(value) / 1000


def _grpc(value: bytes) -> float | None:
    match = _GRPC.fullmatch(value)
    if match is None or int(match[1]) == 0:
        return None
    return int(match[1]) * _GRPC_UNIT_SECONDS[match[2]]
