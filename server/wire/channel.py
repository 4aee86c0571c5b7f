"""Between the supervisor and a child: what the child is told at its start, and what it reports.

Decides the form of the lines on that socket. The first line goes down and carries everything a
child needs to know; all others go up, but for those that tell control of faults.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from server.settings import SECRETS, Settings


@dataclass(frozen=True, slots=True)
class Charter:
    """What a child is told when it starts."""

    settings: Settings
    name: str
    """Such as `worker-0` or `control`."""
    worker: int
    """Number of the worker; -1 for others."""
    workers: int
    """How many workers there are."""
    port: int
    """The data port, when settings leave it to the system."""
    socket_path: str
    """Where control listens for workers."""
    restarts: int = 0
    """How often this child has been replaced."""
    listen_fd: int = -1
    """Control's listening socket, inherited."""
    memory_fd: int = -1
    """Memory that outlives the child, inherited: see `engine/recorder.py`."""
    origins: dict[str, str] = field(default_factory=dict)
    """Where each setting came from."""


def encode_charter(charter: Charter) -> bytes:
    """Write a charter as one line."""
    fields = {name: getattr(charter, name) for name in Charter.__slots__ if name != "settings"}
    settings = charter.settings.model_dump(mode="json")
    for name in SECRETS:  # A dump masks them; this line is seen by the child only.
        settings[name] = getattr(charter.settings, name).get_secret_value()
    return orjson.dumps({**fields, "settings": settings}) + b"\n"


def decode_charter(line: bytes) -> Charter:
    """Read a charter."""
    value = orjson.loads(line)
    # The supervisor has checked them, and a validator for all of them is slow to build.
    settings = {name: _restored(name, one) for name, one in value["settings"].items()}
    return Charter(**{**value, "settings": Settings.model_construct(**settings)})


def _restored(name: str, value: Any) -> Any:
    """Return the value of a setting from its form in JSON."""
    kind = Settings.model_fields[name].annotation
    return kind(value) if isinstance(kind, type) else value  # A Literal is text.


BEAT = b"{}\n"
"""The event loop of the child turns."""


def encode_report(**report: Any) -> bytes:
    """Write what a child reports besides its heartbeat."""
    return orjson.dumps(report) + b"\n"


def decode_report(line: bytes) -> dict[str, Any]:
    """Read a heartbeat (empty) or a report."""
    value = orjson.loads(line)
    return value if isinstance(value, dict) else {}
