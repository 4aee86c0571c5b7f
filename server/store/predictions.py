"""Kept predictions in the store: blocks of rows, which grow together as they get old.

Decides that a few small blocks of one version become one, and those again, so that a version that
answers a row a second has some hundred blocks a week; that the oldest blocks go first when there
are too many rows; and that a block which is not what was written is no block.

Concurrency: the store's thread.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, delete, func, insert, select

from server.monitoring.locating import BlockNote, Version
from server.monitoring.prediction_blocks import PredictionBlock, decode, encode, joined
from server.store.schema import PREDICTION_BLOCK as BLOCK

JOINED_BLOCKS = 16
"""Blocks of one level that become one of the next."""

MAX_BLOCK_ROWS = 65_536
"""Blocks from this size on are not joined any more."""

_NOTE = (
    BLOCK.c.id,
    BLOCK.c.model,
    BLOCK.c.version,
    BLOCK.c.digest,
    BLOCK.c.first_us,
    BLOCK.c.last_us,
    BLOCK.c.has_own_ids,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept as a whole."""

    rows: int
    oldest_us: int
    """The moment since which rows are kept; 0 if there are none."""
    size_bytes: int


def save(connection: Connection, of: Version, block: PredictionBlock, level: int = 0) -> None:
    """Write a block."""
    content = encode(block)
    first, last = block.span_us
    connection.execute(
        insert(BLOCK).values(
            model=of.model,
            version=of.version,
            digest=of.digest,
            kind=block.kind,
            level=level,
            rows=block.row_count,
            first_us=first,
            last_us=last,
            has_own_ids=bool(block.requests["own_id"].any()),
            content=content,
            checksum=_checksum(of, content),
        )
    )


def notes(connection: Connection, first_us: int, last_us: int, *, own: bool) -> list[BlockNote]:
    """Return what is known of the blocks of a stretch of time; with `own`, of all with own ids."""
    wanted = (BLOCK.c.last_us >= first_us) & (BLOCK.c.first_us <= last_us)
    if own:
        wanted |= BLOCK.c.has_own_ids
    return [
        BlockNote(row.id, Version(row.model, row.version, row.digest), *row[4:])
        for row in connection.execute(select(*_NOTE).where(wanted).order_by(BLOCK.c.id))
    ]


def read(connection: Connection, note: BlockNote) -> PredictionBlock | None:
    """Return a block; None, and a line in the log, if it is not what was written."""
    query = select(BLOCK.c.content, BLOCK.c.checksum).where(BLOCK.c.id == note.number)
    row = connection.execute(query).one_or_none()
    try:
        if row is None or row.checksum != _checksum(note.of, row.content):
            raise ValueError("its checksum is another one")
        return decode(row.content)
    except (KeyError, TypeError, ValueError, struct.error):
        log.exception("predictions_damaged", model=note.of.model, version=note.of.version)
    return None


def kept(connection: Connection) -> Kept:
    """Return how much is kept."""
    row = connection.execute(
        select(
            func.sum(BLOCK.c.rows),
            func.min(BLOCK.c.first_us),
            func.sum(func.length(BLOCK.c.content)),
        )
    ).one()
    return Kept(row[0] or 0, row[1] or 0, row[2] or 0)


def join_small(connection: Connection) -> int:
    """Join the blocks of one version, kind and level that are enough; return how many fewer."""
    groups = connection.execute(
        select(BLOCK.c.model, BLOCK.c.version, BLOCK.c.digest, BLOCK.c.kind, BLOCK.c.level)
        .where(BLOCK.c.rows < MAX_BLOCK_ROWS)
        .group_by(BLOCK.c.model, BLOCK.c.version, BLOCK.c.digest, BLOCK.c.kind, BLOCK.c.level)
        .having(func.count() >= JOINED_BLOCKS)
    ).all()
    fewer = 0
    for model, version, digest, kind, level in groups:
        of = Version(model, version, digest)
        query = (
            select(*_NOTE, BLOCK.c.rows)
            .where(
                BLOCK.c.model == model,
                BLOCK.c.version == version,
                BLOCK.c.digest == digest,
                BLOCK.c.kind == kind,
                BLOCK.c.level == level,
                BLOCK.c.rows < MAX_BLOCK_ROWS,
            )
            .order_by(BLOCK.c.id)
        )
        rows = connection.execute(query).all()
        for some in _runs([(BlockNote(row.id, of, *row[4:7]), row.rows) for row in rows]):
            blocks = [block for note in some if (block := read(connection, note)) is not None]
            connection.execute(delete(BLOCK).where(BLOCK.c.id.in_([note.number for note in some])))
            if blocks:
                save(connection, of, joined(blocks), level + 1)
            fewer += len(some) - bool(blocks)
    return fewer


def _runs(blocks: Sequence[tuple[BlockNote, int]]) -> Iterator[list[BlockNote]]:
    """Yield neighbours that become one: JOINED_BLOCKS of them, or as many as fill one."""
    run: list[BlockNote] = []
    rows = 0
    for note, more in blocks:
        run.append(note)
        rows += more
        if len(run) == JOINED_BLOCKS or rows >= MAX_BLOCK_ROWS:
            if len(run) > 1:
                yield run
            run, rows = [], 0


def drop(connection: Connection, before_us: int, max_rows: int) -> int:
    """Drop blocks that are older than `before_us`, and the oldest beyond `max_rows`; count rows."""
    old = connection.execute(
        select(BLOCK.c.id, BLOCK.c.rows, BLOCK.c.last_us).order_by(BLOCK.c.last_us)
    ).all()
    surplus = sum(row.rows for row in old) - max_rows
    dropped, gone = 0, []
    for row in old:
        if row.last_us >= before_us and dropped >= surplus:
            break
        dropped += row.rows
        gone.append(row.id)
    for start in range(0, len(gone), _IDS_AT_ONCE):
        some = gone[start : start + _IDS_AT_ONCE]
        connection.execute(delete(BLOCK).where(BLOCK.c.id.in_(some)))
    return dropped


_IDS_AT_ONCE = 500
"""SQLite takes a limited number of parameters in one statement."""


def _checksum(of: Version, content: bytes) -> int:
    """Return CRC-32 of rows and of what says whose they are."""
    return zlib.crc32(content, zlib.crc32("\0".join(of).encode()))
