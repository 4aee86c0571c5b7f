"""Alerts in the store: the state that each is in, and a log of every change, which only grows.

Decides how states and evidence are written. Does not know when an alert changes.

Concurrency: the store's thread.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from server.statistics.sequential import Alert, AlertState
from server.store.keys import AlertKey
from server.store.schema import ALERT, ALERT_LOG

Evidence = dict[str, Any]
"""JSON: what the decision rests on."""

_KEY = (ALERT.c.model, ALERT.c.version, ALERT.c.rule, ALERT.c.column)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One change of one alert."""

    at_seconds: float
    key: AlertKey
    before: Alert
    after: Alert
    evidence: Evidence


def save_alerts(
    connection: Connection, states: Mapping[AlertKey, tuple[AlertState, Evidence]], now: float
) -> None:
    """Save states and what they rest on; those of other alerts stay."""
    rows = [
        {
            **_names(key),
            "state": state.alert.value,
            "since_seconds": state.since_seconds,
            "raised_seconds": state.raised_seconds,
            "streak": state.streak,
            "evidence": orjson.dumps(evidence).decode(),
            "saved_seconds": now,
        }
        for key, (state, evidence) in states.items()
    ]
    if rows:
        statement = insert(ALERT)
        new = {column.name: column for column in statement.excluded if not column.primary_key}
        connection.execute(
            statement.on_conflict_do_update(index_elements=ALERT.primary_key, set_=new), rows
        )


def load_alerts(connection: Connection) -> dict[AlertKey, tuple[AlertState, Evidence]]:
    """Return the state of every alert; one that cannot be read is left out."""
    found = {}
    for row in connection.execute(select(ALERT)):
        key = AlertKey(row.model, row.version, row.rule, row.column)
        try:
            state = AlertState(Alert(row.state), row.since_seconds, row.raised_seconds, row.streak)
            found[key] = (state, orjson.loads(row.evidence))
        except (ValueError, TypeError):
            log.exception("alert_unreadable", model=key.model, rule=key.rule, column=key.column)
    return found


def forget_alerts(connection: Connection, keep: AbstractSet[tuple[str, str]]) -> int:
    """Delete the states of all versions but `keep`, pairs of model and version; count them.

    The log stays.
    """
    versions = tuple_(ALERT.c.model, ALERT.c.version)
    return connection.execute(delete(ALERT).where(versions.not_in(keep))).rowcount


def append_log(
    connection: Connection,
    key: AlertKey,
    change: tuple[Alert, Alert],
    evidence: Evidence,
    now: float,
) -> None:
    """Write down that an alert went from the first to the second state of `change`."""
    before, after = change
    connection.execute(
        insert(ALERT_LOG).values(
            **_names(key),
            at_seconds=now,
            before=before.value,
            after=after.value,
            evidence=orjson.dumps(evidence).decode(),
        )
    )


def read_log(connection: Connection, model: str, limit: int) -> list[LogEntry]:
    """Return the last changes of a model's alerts, newest first, `limit` of them at most."""
    query = (
        select(ALERT_LOG)
        .where(ALERT_LOG.c.model == model)
        .order_by(ALERT_LOG.c.id.desc())
        .limit(limit)
    )
    return [
        LogEntry(
            row.at_seconds,
            AlertKey(row.model, row.version, row.rule, row.column),
            Alert(row.before),
            Alert(row.after),
            orjson.loads(row.evidence),
        )
        for row in connection.execute(query)
    ]


def trim_log(connection: Connection, before: float) -> int:
    """Delete entries that are older than `before`; return how many."""
    return connection.execute(delete(ALERT_LOG).where(ALERT_LOG.c.at_seconds < before)).rowcount


def _names(key: AlertKey) -> dict[str, str]:
    return {
        "model": key.model,
        "version": key.version,
        "rule": key.rule,
        "column": key.column,
    }
