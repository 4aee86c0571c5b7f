"""Stores for tests: in memory for what is written, on disk for what may happen to a file."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, create_engine

from server.store import schema


@contextlib.contextmanager
def in_memory() -> Iterator[Connection]:
    """Give an empty store in memory, with foreign keys as the real one has them."""
    with create_engine("sqlite://").connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        schema.METADATA.create_all(connection)
        yield connection
