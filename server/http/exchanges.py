"""The exchanges of a connection: one request each, and the bytes of its answer when there are any.

Cold exchanges are answered by a Starlette application through uvicorn's cycle, refusals before they
start. A port may have others.

Concurrency: event loop only.
"""

from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from server.engine.admission import Budget


class Exchange(Protocol):
    """What stands in a connection's line."""

    response: bytes | None
    """All of the answer, when it is to be sent by the connection."""
    close: bool
    """Whether the connection ends after it."""

    def leave(self) -> None:
        """The caller has gone."""


class Flow(FlowControl):
    """uvicorn's flow control, in which only the connection resumes reading.

    A cycle resumes whenever its application receives. Ours are given whole requests, and what has
    been paused because the line is long, or because the client does not read, must stay paused.
    """

    def resume_reading(self) -> None:
        """Do nothing, when a cycle says so."""

    def read_on(self) -> None:
        """Resume reading."""
        super().resume_reading()


class ColdExchange:
    """A request that the Starlette application answers."""

    def __init__(self, cycle: RequestResponseCycle, held_bytes: int, budget: Budget) -> None:
        self.response: bytes | None = None
        self.close = False
        self.cycle = cycle
        self.is_started = False
        self._held_bytes = held_bytes
        """What its body takes from the budget while it waits for its turn."""
        self._budget = budget

    def start(self) -> None:
        """It is its turn: the body is the application's now."""
        self.is_started = True
        self._release()

    def leave(self) -> None:
        """Let the application know."""
        self._release()
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _release(self) -> None:
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0


class Refusal:
    """A request that is answered with an error before it is anything, and closes."""

    def __init__(self, response: bytes) -> None:
        self.response: bytes | None = response
        self.close = True

    def leave(self) -> None:
        """Nobody waits for anything."""
