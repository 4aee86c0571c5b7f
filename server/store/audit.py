"""The audit of releases: every change of every model in one chain of hashes, which only grows.

Decides what an entry holds, what its hash is of, and what counts as a fault of the chain. Each hash
is of the entry and of the hash before, and the newest is kept apart: an entry that is changed,
deleted, added or moved leaves a place where hashes do not meet, and so does a cut-off end. Whoever
can rewrite the whole file can make another chain: the newest hash, noted elsewhere, shows that.

Concurrency: the store's thread.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.sqlite import insert

from server.release.change import Change
from server.release.route import to_json
from server.store.schema import AUDIT, AUDIT_HEAD, ROUTE

FIRST_HASH = "0" * 64
"""What stands for the hash before the first entry."""
_HASHED = tuple(column.name for column in AUDIT.columns if column.name != "hash")
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, as it was written down. `before`, `after` and `evidence` are JSON."""

    seq: int
    at_seconds: float
    actor: str
    request_id: str
    action: str
    model: str
    from_generation: int
    to_generation: int
    before: Any
    after: Any
    reason: str
    evidence: Any
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Where the audit is not what was written."""

    seq: int
    """Of the first entry that is wrong; one more than there are, if it is missing."""
    what: str


def append(connection: Connection, change: Change) -> None:
    """Write a change down, in the transaction that makes it."""
    head = connection.execute(select(AUDIT_HEAD)).first()
    values = {
        "seq": head.seq + 1 if head is not None else 1,
        "at_seconds": float(change.at_seconds),
        "actor": change.actor,
        "request_id": change.request_id,
        "action": str(change.action),
        "model": change.model,
        "from_generation": change.before.generation,
        "to_generation": change.after.generation,
        "before": orjson.dumps(to_json(change.before)).decode(),
        "after": orjson.dumps(to_json(change.after)).decode(),
        "reason": change.reason,
        "evidence": orjson.dumps(change.evidence).decode(),
        "prev_hash": head.hash if head is not None else FIRST_HASH,
    }
    values["hash"] = _hash(values)
    connection.execute(insert(AUDIT).values(values))
    newest = {"seq": values["seq"], "hash": values["hash"]}
    connection.execute(
        insert(AUDIT_HEAD)
        .values(id=1, **newest)
        .on_conflict_do_update(index_elements=AUDIT_HEAD.primary_key, set_=newest)
    )


def history(
    connection: Connection, model: str, limit: int, before_seq: int | None = None
) -> list[Entry]:
    """Return the last changes of a model, newest first, `limit` of them at most.

    With `before_seq`, those before that entry.
    """
    query = select(AUDIT).where(AUDIT.c.model == model).order_by(AUDIT.c.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(AUDIT.c.seq < before_seq)
    return [_entry(row) for row in connection.execute(query)]


def first(connection: Connection, model: str) -> Entry | None:
    """Return the oldest entry of a model, None if there is none.

    One that does not follow generation 0 says that the store was made anew after it.
    """
    query = select(AUDIT).where(AUDIT.c.model == model).order_by(AUDIT.c.seq).limit(1)
    row = connection.execute(query).first()
    return _entry(row) if row is not None else None


def is_sound(row: Row[Any]) -> bool:
    """Say whether a row of the audit, by itself, is what was written."""
    return bool(row.hash == _hash(row._asdict()))


def verify(connection: Connection) -> Problem | None:
    """Look at the whole chain; return the first fault, None if there is none.

    The release state of every model must be what its last entry has left.
    """
    seq, newest, left = 0, FIRST_HASH, {}
    query = select(AUDIT).order_by(AUDIT.c.seq).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in connection.execute(query):
        seq += 1
        if row.seq != seq:
            return Problem(seq, f"entry {seq} is missing")
        if row.prev_hash != newest:
            return Problem(seq, f"entry {seq} does not follow the one before it")
        if not is_sound(row):
            return Problem(seq, f"entry {seq} was changed")
        newest, left[row.model] = row.hash, (row.to_generation, row.after)
    head = connection.execute(select(AUDIT_HEAD)).all()
    expected = [(1, seq, newest)] if seq else []
    if [tuple(row) for row in head] != expected:
        return Problem(seq + 1, f"entries after {seq} are missing, or the newest is not noted")
    rows = connection.execute(select(ROUTE))
    states = {row.model: (row.generation, row.route) for row in rows}
    for model in sorted(states.keys() | left.keys()):
        if states.get(model) != left.get(model):
            return Problem(seq, f"the release state of model '{model}' is not what was written")
    return None


def _hash(values: dict[str, Any]) -> str:
    """Return SHA-256 of all that an entry says, as JSON in the order of the columns."""
    return hashlib.sha256(orjson.dumps([values[name] for name in _HASHED])).hexdigest()


def _entry(row: Row[Any]) -> Entry:
    values = row._asdict()
    for name in ("before", "after", "evidence"):
        values[name] = _parsed(values[name])
    return Entry(**values)


def _parsed(text: str) -> Any:
    """Read JSON; what is none, because somebody has changed it, is shown as it is."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text
