"""The message that tells workers which requests may kill them.

Decides its form only. A request is named by the hash of its rows, which says nothing of them.
"""

from collections.abc import Mapping

import orjson

Suspects = Mapping[str, Mapping[str, float]]
"""By model and hash: for how many seconds more the request is refused; 0 if it is only to be run
alone."""


def encode(suspects: Suspects) -> bytes:
    """Write all suspects; they replace those sent before."""
    return orjson.dumps(suspects)


def decode(message: bytes | memoryview) -> dict[str, dict[str, float]]:
    """Read a message of `encode`."""
    found: dict[str, dict[str, float]] = orjson.loads(message)
    return found
