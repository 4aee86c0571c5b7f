"""The release state of each model in the store, changed together with its audit or not at all.

Decides that a change is written only onto the generation that it was made from, and what is taken
for the state of a model whose row is damaged: what its last sound entry of the audit has left.

Concurrency: the store's thread.
"""

import zlib
from dataclasses import replace
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.sqlite import insert

from server.operator_errors import StaleGeneration
from server.release.change import Change
from server.release.route import ReleaseRoute, from_json, to_json
from server.store import audit
from server.store.schema import AUDIT, ROUTE

_NONE_SEEN = -1

log = structlog.get_logger()


def load_routes(connection: Connection) -> dict[str, ReleaseRoute]:
    """Return the release state of every model.

    One that cannot be read, not from the audit either, is left out.
    """
    found = {}
    for row in connection.execute(select(ROUTE)):
        route = _read(row) or _from_audit(connection, row.model)
        if route is not None:
            found[row.model] = route
    return found


def save_change(connection: Connection, change: Change) -> ReleaseRoute:
    """Write a change and its entry of the audit; return the state that was saved.

    It is `change.after`, but for a change that need not follow what is stored: its generation is
    then above the stored one. A model without a row takes any state: there is nothing to overtake.

    Raises:
        StaleGeneration: the store holds another generation than the change was made from.

    """
    row = connection.execute(select(ROUTE).where(ROUTE.c.model == change.model)).first()
    stored = _read(row) if row is not None else None
    if stored is not None and stored.generation != change.before.generation:
        if change.must_follow:
            raise _stale(change)
        generation = max(change.after.generation, stored.generation + 1)
        after = replace(change.after, generation=generation)
        change = replace(change, before=stored, after=after)
    text = orjson.dumps(to_json(change.after)).decode()
    values = {
        "generation": change.after.generation,
        "route": text,
        "checksum": _checksum(change.model, change.after.generation, text),
        "saved_seconds": float(change.at_seconds),
    }
    statement = insert(ROUTE).values(model=change.model, **values)
    # Where several gateways share a store, another one may have written since the row was read.
    seen = row.generation if row is not None else _NONE_SEEN
    statement = statement.on_conflict_do_update(
        index_elements=ROUTE.primary_key, set_=values, where=ROUTE.c.generation == seen
    )
    if connection.execute(statement).rowcount != 1:
        raise _stale(change)
    audit.append(connection, change)
    return change.after


def _stale(change: Change) -> StaleGeneration:
    return StaleGeneration(
        f"the release of model '{change.model}' is not at generation "
        f"{change.before.generation} any more"
    )


def _read(row: Row[Any]) -> ReleaseRoute | None:
    """Return the state in a row; None, and a line in the log, if it is not what was saved."""
    try:
        if row.checksum == _checksum(row.model, row.generation, row.route):
            return from_json(orjson.loads(row.route))
    except (KeyError, TypeError, ValueError):
        log.exception("route_unreadable", model=row.model)
    else:
        log.error("route_damaged", model=row.model)
    return None


def _from_audit(connection: Connection, model: str) -> ReleaseRoute | None:
    """Return what the last sound entry of a model has left."""
    query = select(AUDIT).where(AUDIT.c.model == model).order_by(AUDIT.c.seq.desc())
    for row in connection.execute(query):
        if audit.is_sound(row):
            return from_json(orjson.loads(row.after))
    return None


def _checksum(model: str, generation: int, text: str) -> int:
    """Return CRC-32 of a state and of whose it is."""
    return zlib.crc32(f"{model}\0{generation}\0{text}".encode())
