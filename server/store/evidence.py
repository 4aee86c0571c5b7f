"""Evidence for candidates in the store: counts of one epoch each, as JSON with a checksum.

Decides how they are written: a row that a bad disk has changed is left out, never taken for counts.
Does not know what is counted.

Concurrency: the store's thread.
"""

import zlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.dialects.sqlite import insert

from server.store.keys import EvidenceKey
from server.store.schema import EVIDENCE

_KEY = (EVIDENCE.c.model, EVIDENCE.c.version, EVIDENCE.c.epoch)

log = structlog.get_logger()


def save(
    connection: Connection, counts: Mapping[EvidenceKey, Mapping[str, Any]], now: float
) -> None:
    """Save counts as they are now, over those that were saved before; others stay."""
    rows = []
    for key, one in counts.items():
        text = orjson.dumps(one).decode()
        rows.append(
            {
                "model": key.model,
                "version": key.version,
                "epoch": key.epoch,
                "evidence": text,
                "checksum": _checksum(key, text),
                "saved_seconds": now,
            }
        )
    if rows:
        statement = insert(EVIDENCE)
        new = {column.name: column for column in statement.excluded if not column.primary_key}
        connection.execute(
            statement.on_conflict_do_update(index_elements=EVIDENCE.primary_key, set_=new), rows
        )


def load_all(connection: Connection) -> dict[EvidenceKey, dict[str, Any]]:
    """Return all counts; those that are not what was saved are left out."""
    found = {}
    for row in connection.execute(select(EVIDENCE)):
        key = EvidenceKey(row.model, row.version, row.epoch)
        if row.checksum == _checksum(key, row.evidence):
            found[key] = orjson.loads(row.evidence)
        else:
            log.error("evidence_damaged", model=key.model, version=key.version, epoch=key.epoch)
    return found


def forget(connection: Connection, keep: AbstractSet[EvidenceKey], before: float) -> int:
    """Delete counts that were last saved before `before`, but for those to `keep`; count them."""
    kept = [(key.model, key.version, key.epoch) for key in keep]
    old = EVIDENCE.c.saved_seconds < before
    return connection.execute(delete(EVIDENCE).where(old, tuple_(*_KEY).not_in(kept))).rowcount


def _checksum(key: EvidenceKey, text: str) -> int:
    """Return CRC-32 of counts and of all that says whose they are."""
    return zlib.crc32("\0".join((key.model, key.version, key.epoch, text)).encode())
