"""Which requests may kill this worker, as control says.

Decides whether a request is one of them: it is known by the hash of its rows. One that is refused
never comes to its model; a suspect is to be run alone. Nothing is hashed for models without
suspects. Does not know how requests are queued. Told the time.

Concurrency: event loop only.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from server.engine.recorder import hash_of
from server.errors import Quarantined
from server.tensors import Data
from server.wire import suspects

_TEXT = "this request has ended the process that ran it twice; it is refused for a while"


class Request(Protocol):
    """What is looked at of a request."""

    @property
    def rows(self) -> int:
        """How many rows it has."""

    @property
    def tensors(self) -> list[Data]:
        """Its elements, input by input."""


class ModelSuspects:
    """The suspects among the requests of one model."""

    def __init__(self, refused_until: Mapping[str, float]) -> None:
        self._refused_until = refused_until
        """By hash; what is over is a mere suspect."""

    def meets(self, request: Request, max_entry_rows: int, now: float) -> bool:
        """Say whether a request is to be run alone.

        It is known by what would run of it at once: at most `max_entry_rows` rows.

        Raises:
            Quarantined: it is not to be run at all.

        """
        found = False
        for one in _hashes(request, max_entry_rows):
            until = self._refused_until.get(one)
            if until is not None:
                if now < until:
                    raise Quarantined(_TEXT)
                found = True
        return found


class Suspects:
    """The suspects of all models, as control has last said."""

    def __init__(self) -> None:
        self._models: dict[str, ModelSuspects] = {}

    def take(self, message: bytes | memoryview, now: float) -> None:
        """Take what control says; it replaces what it said before."""
        self._models = {
            model: ModelSuspects({one: now + seconds for one, seconds in refused.items()})
            for model, refused in suspects.decode(message).items()
        }

    def of(self, model: str) -> ModelSuspects | None:
        """Return the suspects of a model, None if there are none."""
        return self._models.get(model)


def _hashes(request: Request, max_entry_rows: int) -> Iterator[str]:
    """Yield the hash of each part of a request; nothing if it has text or no rows."""
    rows = request.rows
    for first in range(0, rows, max_entry_rows):
        one = hash_of([_part(data, rows, first, max_entry_rows) for data in request.tensors])
        if one is not None:
            yield one


def _part(data: Data, rows: int, first: int, count: int) -> Data:
    if isinstance(data, list) or count >= rows:
        return data
    stride = len(data) // rows
    return memoryview(data)[first * stride : (first + count) * stride]
