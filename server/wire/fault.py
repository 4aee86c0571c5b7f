"""A fault of a version: it killed its worker, or hung. Told to control by whoever saw it.

The supervisor tells of a worker that died while the version ran, on the channel of control; a
worker tells of a run that hung, on its own socket. Decides the form of the message only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import orjson


class FaultKind(StrEnum):
    """What a version did."""

    CRASH = "crash"
    """Its worker died."""
    HANG = "hang"
    """It did not come back."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one version."""

    model: str
    version: str
    digest: str
    """SHA-256 of the version's files: other files under the same number are not to blame."""
    kind: FaultKind
    worker: int
    how: str = ""
    """In words, such as the name of a signal."""
    suspects: tuple[str, ...] = ()
    """Hashes of the requests that ran then, as `engine/recorder.py` makes them; of those only
    whose rows were written down."""
    was_alone: bool = False
    """Whether one request was all that ran."""

    def to_json(self) -> dict[str, Any]:
        """Return the fault as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Fault":
        """Read what `to_json` returned.

        Raises:
            KeyError, TypeError, ValueError: it is not such a value.

        """
        fields = {**value, "kind": FaultKind(value["kind"]), "suspects": tuple(value["suspects"])}
        return cls(**fields)


def encode(fault: Fault) -> bytes:
    """Write a fault as JSON."""
    return orjson.dumps(fault.to_json())


def decode(message: bytes | memoryview) -> Fault:
    """Read a message of `encode`.

    Raises:
        KeyError, TypeError, ValueError: it is not such a message.

    """
    return Fault.from_json(orjson.loads(message))
