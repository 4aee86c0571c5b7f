"""Labels in the store, and what they say: counts by hour, and pairs of versions.

Decides how they are written. What is committed here is what a caller was told: labels and the
counts that they changed go in one transaction.

Concurrency: the store's thread.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.sqlite import insert

from server.monitoring.joining import KeptLabel, Series, SeriesKey
from server.monitoring.locating import RowKey, Version
from server.monitoring.prediction_blocks import Role
from server.monitoring.realised import LabelCounts, Task
from server.monitoring.realised_figures import PairedCounts
from server.store.schema import COHORT, LABEL, LABEL_PAIR

_FASTEST = 1
_KEYS_AT_ONCE = 300
"""SQLite takes a limited number of parameters in one statement."""

_SERIES = tuple(COHORT.primary_key.columns)

log = structlog.get_logger()


def load_labels(connection: Connection, keys: Iterable[RowKey]) -> dict[RowKey, KeptLabel]:
    """Return what is remembered of some rows' labels."""
    wanted = set(keys)
    found = {}
    # By the moment alone: SQLite looks nothing up by several columns at once.
    for some in _some(sorted({key.at_us for key in wanted})):
        for row in connection.execute(select(LABEL).where(LABEL.c.at_us.in_(some))):
            key = RowKey(row.at_us, row.tag, row.row)
            if key in wanted:
                found[key] = KeptLabel(*row[3:])
    return found


def load_between(connection: Connection, first_us: int, last_us: int) -> dict[RowKey, KeptLabel]:
    """Return what is remembered of the labels of all rows of a stretch of time."""
    query = select(LABEL).where(LABEL.c.at_us.between(first_us, last_us))
    return {
        RowKey(row.at_us, row.tag, row.row): KeptLabel(*row[3:])
        for row in connection.execute(query)
    }


def save_labels(connection: Connection, labels: Mapping[RowKey, KeptLabel]) -> None:
    """Write labels, over what has their keys."""
    rows = [
        {
            "at_us": key.at_us,
            "tag": key.tag,
            "row": key.row,
            "label": one.label,
            "first_label": one.first_label,
            "is_acted_on": one.is_acted_on,
            "received_seconds": one.received_seconds,
            "corrections": one.corrections,
        }
        for key, one in labels.items()
    ]
    _upsert(connection, LABEL, rows)


def drop_labels(connection: Connection, before_us: int) -> int:
    """Forget labels of predictions from before a moment; return how many. Counts stay."""
    return connection.execute(delete(LABEL).where(LABEL.c.at_us < before_us)).rowcount


def load_series(connection: Connection, keys: Iterable[SeriesKey]) -> dict[SeriesKey, Series]:
    """Return what is kept under some keys; nothing for those of which nothing is."""
    wanted = set(keys)
    hours: dict[Version, set[int]] = {}
    for key in wanted:
        hours.setdefault(key.of, set()).add(key.hour)
    found: dict[SeriesKey, Series] = {}
    for of, of_version in hours.items():
        for some in _some(sorted(of_version)):
            query = select(COHORT).where(
                COHORT.c.model == of.model,
                COHORT.c.version == of.version,
                COHORT.c.digest == of.digest,
                COHORT.c.hour.in_(some),
            )
            found |= _read(connection.execute(query))
    return {key: one for key, one in found.items() if key in wanted}


def load_since(
    connection: Connection, since_hour: int, model: str | None = None, *, segments: bool = False
) -> dict[SeriesKey, Series]:
    """Return all series from an hour on, of one model or of all; with segments only if asked."""
    query = select(COHORT).where(COHORT.c.hour >= since_hour)
    if model is not None:
        query = query.where(COHORT.c.model == model)
    if not segments:
        query = query.where(COHORT.c.segment == "")
    return _read(connection.execute(query))


def save_series(connection: Connection, series: Mapping[SeriesKey, Series]) -> None:
    """Write series, over what has their keys."""
    rows = []
    for key, one in series.items():
        counts = b""
        if one.counts.rows or one.counts.delays:
            counts = zlib.compress(orjson.dumps(one.counts.to_json()), _FASTEST)
        names = (column.name for column in _SERIES)
        rows.append(
            {
                **dict(zip(names, _plain(key), strict=True)),
                "predicted": one.predicted,
                "counts": counts,
                "checksum": _checksum(key, one.predicted, counts),
            }
        )
    _upsert(connection, COHORT, rows)


def drop_series(connection: Connection, before_hour: int) -> int:
    """Forget counts of predictions from before an hour; return how many."""
    return connection.execute(delete(COHORT).where(COHORT.c.hour < before_hour)).rowcount


def add_pairs(
    connection: Connection, pairs: Mapping[tuple[Version, Version], PairedCounts]
) -> None:
    """Add to the counts of pairs of versions of one model."""
    rows = [
        {
            "model": live.model,
            "live": live.version,
            "live_digest": live.digest,
            "candidate": candidate.version,
            "candidate_digest": candidate.digest,
            **{name: getattr(counts, name) for name in _SIDES},
        }
        for (live, candidate), counts in pairs.items()
    ]
    if rows:
        statement = insert(LABEL_PAIR)
        new = {name: LABEL_PAIR.c[name] + statement.excluded[name] for name in _SIDES}
        connection.execute(
            statement.on_conflict_do_update(index_elements=LABEL_PAIR.primary_key, set_=new), rows
        )


def load_pairs(connection: Connection) -> dict[tuple[Version, Version], PairedCounts]:
    """Return the counts of all pairs of versions."""
    return {
        (
            Version(row.model, row.live, row.live_digest),
            Version(row.model, row.candidate, row.candidate_digest),
        ): PairedCounts(*(getattr(row, name) for name in _SIDES))
        for row in connection.execute(select(LABEL_PAIR))
    }


_SIDES = ("both", "live_only", "candidate_only", "neither")


def _some(keys: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]


def _upsert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        statement = insert(table)
        new = {column.name: column for column in statement.excluded if not column.primary_key}
        connection.execute(
            statement.on_conflict_do_update(index_elements=table.primary_key, set_=new), rows
        )


def _plain(key: SeriesKey) -> tuple[str, str, str, str, str, str, bool, int]:
    role = key.role.word
    return (*key.of, key.task.value, role, key.segment, key.is_acted_on, key.hour)


def _read(rows: Iterable[Row[Any]]) -> dict[SeriesKey, Series]:
    """Read rows; one that is not what was written is left out, with a line in the log."""
    found = {}
    for row in rows:
        try:
            key = SeriesKey(
                Version(row.model, row.version, row.digest),
                Task(row.task),
                Role[row.role.upper()],
                row.segment,
                row.is_acted_on,
                row.hour,
            )
            if row.checksum != _checksum(key, row.predicted, row.counts):
                raise ValueError("its checksum is another one")
            counts = LabelCounts()
            if row.counts:
                counts = LabelCounts.from_json(orjson.loads(zlib.decompress(row.counts)))
        except (KeyError, TypeError, ValueError, zlib.error):
            log.exception("cohort_damaged", model=row.model, version=row.version, hour=row.hour)
        else:
            found[key] = Series(row.predicted, counts)
    return found


def _checksum(key: SeriesKey, predicted: int, counts: bytes) -> int:
    """Return CRC-32 of counts and of all that says whose and when they are."""
    words = "\0".join(map(str, (*_plain(key), predicted)))
    return zlib.crc32(counts, zlib.crc32(words.encode()))
