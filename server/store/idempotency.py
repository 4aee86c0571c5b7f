"""Answers by Idempotency-Key: whoever asks again gets the same answer, and nothing happens twice.

Decides how long an answer is kept. It is kept in the transaction of what was asked, so that there
is no answer without the change, and no change without the answer.

Concurrency: the store's thread.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from server.operator_errors import IdempotencyConflict
from server.store.keys import IdempotencyKey
from server.store.schema import IDEMPOTENCY

KEPT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered."""

    status: int
    body: bytes


def find(connection: Connection, key: IdempotencyKey, now: float) -> Kept | None:
    """Return the answer that a request had before; None if it is new.

    Raises:
        IdempotencyConflict: its key stood for another request.

    """
    row = connection.execute(
        select(IDEMPOTENCY).where(
            IDEMPOTENCY.c.key == key.key,
            IDEMPOTENCY.c.model == key.model,
            IDEMPOTENCY.c.at_seconds > now - KEPT_SECONDS,
        )
    ).first()
    if row is None:
        return None
    if row.body_hash != key.body_hash:
        raise IdempotencyConflict(
            f"Idempotency-Key: '{key.key[:64]}' stood for another request to model "
            f"'{key.model}' in the last 24 hours"
        )
    return Kept(row.status, row.response)


def keep(connection: Connection, key: IdempotencyKey, kept: Kept, now: float) -> None:
    """Keep the answer to a request, over what its key stood for before."""
    values = {
        "body_hash": key.body_hash,
        "status": kept.status,
        "response": kept.body,
        "at_seconds": now,
    }
    connection.execute(
        insert(IDEMPOTENCY)
        .values(key=key.key, model=key.model, **values)
        .on_conflict_do_update(index_elements=IDEMPOTENCY.primary_key, set_=values)
    )


def trim(connection: Connection, now: float) -> int:
    """Delete answers that are kept no longer; return how many."""
    old = IDEMPOTENCY.c.at_seconds <= now - KEPT_SECONDS
    return connection.execute(delete(IDEMPOTENCY).where(old)).rowcount
