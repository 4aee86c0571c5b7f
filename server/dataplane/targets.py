"""Who answers a request, and how the request came there.

Decides which arm of a split takes a request: by the hash of its routing key, or by a number drawn
by whoever asks. Raising the weight moves keys from the live version to the canary only, and a key
stays where it is over restarts and on every worker: the hash knows the salt and the key, and
nothing else. Pure.
"""

import hashlib
from dataclasses import dataclass, field

from server.dataplane.batch_columns import PINNED
from server.dataplane.served import ServedVersion
from server.protocol.http_answer import Headers, before_prediction_id
from server.release.route import ALL_BP


@dataclass(frozen=True, slots=True)
class Target:
    """A version that answers, for the requests that came to it in one way."""

    served: ServedVersion
    origin: Headers
    """The headers that say who answers."""
    marks: int = 0
    """What that says about a request: see `batch_columns.py`."""
    split: "Split | None" = None
    """Who answers instead while there is a canary. A request goes on to one of its arms."""
    keyed: "Target | None" = None
    """Of an arm: the same for requests with a routing key, which are marked as such."""
    head: bytes = field(init=False)
    """The bytes of `origin`, for the commonest answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", before_prediction_id(self.origin))

    @property
    def is_named(self) -> bool:
        """Whether requests come here because they name the version."""
        return bool(self.marks & PINNED)


@dataclass(frozen=True, slots=True)
class Split:
    """The live version and a canary that takes a share of its requests."""

    live: Target
    canary: Target
    weight_bp: int
    salt: bytes

    def arm(self, routing_key: bytes | None, draw_bp: int) -> Target:
        """Return who answers a request: by its key, or by what was drawn below 10,000."""
        place_bp = draw_bp if routing_key is None else bucket_bp(self.salt, routing_key)
        return self.canary if place_bp < self.weight_bp else self.live


def bucket_bp(salt: bytes, routing_key: bytes) -> int:
    """Return where a key stands between 0 and 10,000; the canary takes what is below its weight."""
    digest = hashlib.blake2b(salt + routing_key).digest()
    return int.from_bytes(digest[:8], "big") % ALL_BP
