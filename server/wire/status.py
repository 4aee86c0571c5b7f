"""What a worker says of itself: what it has loaded, what failed, how busy it is.

Decides the form of the message only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of a worker on a connection."""

    worker: int
    pid: int
    restarts: int = 0
    """How often the supervisor has replaced this worker."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A version that a worker could not load."""

    digest: str
    error: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Gauges:
    """How busy a worker is at the moment."""

    in_flight: int = 0
    in_flight_bytes: int = 0
    connections: int = 0
    loop_lag_seconds: float = 0.0
    """How late the last turn of the event loop came, at most, since the last status."""
    resident_bytes: int = 0
    cpu_seconds: float = 0.0
    open_files: int = 0
    records_sent: int = 0
    records_dropped: int = 0
    probes: int = 0
    """How often a version was asked whether it answers, because nobody else had asked it."""
    queued_rows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By model and version."""


@dataclass(frozen=True, slots=True)
class Status:
    """A worker's state."""

    generation: int
    """The newest desired state that it has carried out, failures included."""
    loaded: Mapping[str, Mapping[str, str]]
    """Digest by model and version."""
    live: Mapping[str, str]
    """Version that answers, by model."""
    failed: Mapping[str, Mapping[str, Failure]]
    load_seconds: Mapping[str, Mapping[str, float]]
    gauges: Gauges
    is_draining: bool = False
    released: Mapping[str, int] = field(default_factory=dict)
    """Generation of the release state that answers come of, by model; a model is missing while
    its live version is on its way."""
    unready: Mapping[str, str] = field(default_factory=dict)
    """Why models do not answer, by model; those that do are missing."""

    def is_news(self, before: "Status | None") -> bool:
        """Say whether it tells more than how busy the worker is."""
        return before is None or replace(self, gauges=before.gauges) != before


def encode_hello(hello: Hello) -> bytes:
    """Write a hello."""
    return orjson.dumps(hello)


def decode_hello(message: bytes | memoryview) -> Hello:
    """Read a hello."""
    return Hello(**orjson.loads(message))


def encode_status(status: Status) -> bytes:
    """Write a status."""
    return orjson.dumps(status)


def decode_status(message: bytes | memoryview) -> Status:
    """Read a status."""
    value = orjson.loads(message)
    value["gauges"] = Gauges(**value["gauges"])
    value["failed"] = {
        model: {version: Failure(**failure) for version, failure in versions.items()}
        for model, versions in value["failed"].items()
    }
    return Status(**value)
