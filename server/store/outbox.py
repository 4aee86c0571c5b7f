"""Events on their way to a webhook: put here in the transaction that changes what they tell of.

So none is lost, and none tells of a change that was not saved: an event is sent at least once,
always with the same id. Decides that each key has one outstanding event at most: it is taken from
`put` until `settle`, whether or not the event has been delivered in between. Does not know how
events are sent, nor when a failed one is tried again.

Concurrency: the store's thread.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from server.store.schema import OUTBOX

LONGEST_WAIT_SECONDS = 30 * 3600.0
"""No event is put off for longer (`monitoring/notifier.py`)."""


class Outcome(StrEnum):
    """What has become of an event."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event that is to be sent."""

    event_id: str
    body: bytes
    created_seconds: float
    attempts: int
    """Tries so far, all of which failed."""


def put(connection: Connection, event_id: str, dedupe_key: str, body: bytes, now: float) -> bool:
    """Put an event in; False, and nothing is put, if one with its key is outstanding.

    False too for an id that has been put before.
    """
    values = {
        "event_id": event_id,
        "dedupe_key": dedupe_key,
        "is_outstanding": True,
        "body": body,
        "created_seconds": now,
        "attempts": 0,
        "next_try_seconds": now,
        "outcome": Outcome.WAITING.value,
        "last_error": "",
    }
    return connection.execute(insert(OUTBOX).values(values).on_conflict_do_nothing()).rowcount > 0


def due(connection: Connection, now: float, limit: int = 100) -> list[Outgoing]:
    """Return the events that should be sent now, those that have waited longest first.

    Nothing waits longer than LONGEST_WAIT_SECONDS: what is due later than that was put off by a
    clock which has been set back since.
    """
    is_due = OUTBOX.c.next_try_seconds <= now
    is_lost = OUTBOX.c.next_try_seconds > now + LONGEST_WAIT_SECONDS
    query = (
        select(OUTBOX)
        .where(is_due | is_lost)
        .order_by(OUTBOX.c.next_try_seconds, OUTBOX.c.event_id)
        .limit(limit)
    )
    return [
        Outgoing(row.event_id, row.body, row.created_seconds, row.attempts)
        for row in connection.execute(query)
    ]


def next_due_seconds(connection: Connection) -> float | None:
    """Return when the next event should be sent; None if none waits."""
    return connection.execute(select(func.min(OUTBOX.c.next_try_seconds))).scalar()


def done(connection: Connection, event_id: str) -> None:
    """Note that an event was delivered. Its key stays taken until it is settled."""
    _end(connection, event_id, Outcome.DELIVERED, "")


def failed(connection: Connection, event_id: str, error: str, next_try: float | None) -> None:
    """Note that an event could not be sent, and when to try again; None gives it up."""
    if next_try is None:
        _end(connection, event_id, Outcome.GIVEN_UP, error)
        return
    connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.event_id == event_id, OUTBOX.c.outcome == Outcome.WAITING)
        .values(attempts=OUTBOX.c.attempts + 1, next_try_seconds=next_try, last_error=error)
    )


def settle(connection: Connection, prefix: str, outstanding: AbstractSet[str]) -> int:
    """Free all keys that begin with `prefix`, but for those that are `outstanding`; count them.

    What their events are about is over. Events that wait are sent all the same.
    """
    freeing = (
        update(OUTBOX)
        .where(
            OUTBOX.c.is_outstanding,
            OUTBOX.c.dedupe_key.startswith(prefix, autoescape=True),
            OUTBOX.c.dedupe_key.not_in(outstanding),
        )
        .values(is_outstanding=False)
    )
    return connection.execute(freeing).rowcount


def count(connection: Connection) -> dict[Outcome, int]:
    """Return how many events have which outcome."""
    query = select(OUTBOX.c.outcome, func.count()).group_by(OUTBOX.c.outcome)
    found = {Outcome(outcome): number for outcome, number in connection.execute(query)}
    return {outcome: found.get(outcome, 0) for outcome in Outcome}


def trim(connection: Connection, before: float) -> int:
    """Delete events that are over and were put in before `before`; return how many."""
    return connection.execute(
        delete(OUTBOX).where(
            OUTBOX.c.outcome != Outcome.WAITING,
            OUTBOX.c.is_outstanding.is_(False),
            OUTBOX.c.created_seconds < before,
        )
    ).rowcount


def _end(connection: Connection, event_id: str, outcome: Outcome, error: str) -> None:
    connection.execute(
        update(OUTBOX)
        .where(OUTBOX.c.event_id == event_id, OUTBOX.c.outcome == Outcome.WAITING)
        .values(
            outcome=outcome.value,
            attempts=OUTBOX.c.attempts + 1,
            next_try_seconds=None,
            last_error=error,
        )
    )
