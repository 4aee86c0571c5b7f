"""Bring a file to the newest revision of the schema.

Decides that a new file is made at once as the newest revision, that an older one is copied first
and then migrated in one transaction, and that a newer one is refused. Alembic, which takes a
quarter of a second to import, is imported for a migration only.

Concurrency: the store's thread.
"""

from pathlib import Path

import structlog
from sqlalchemy import Connection

from server.operator_errors import StoreUnavailable
from server.store import revisions, schema

log = structlog.get_logger()


def bring_up(connection: Connection, revision: str | None, path: Path) -> None:
    """Bring a file from `revision`, None for an empty one, to the newest.

    `connection` is outside a transaction.

    Raises:
        StoreUnavailable: the file is of a newer revision.
        sqlalchemy.exc.DBAPIError: it cannot be written; it is as it was.

    """
    newest = revisions.known()[-1]
    if revision is None:
        with connection.begin():
            schema.METADATA.create_all(connection)
            connection.execute(schema.REVISION.insert().values(version_num=newest))
    elif words := revisions.refusal(revision):
        raise StoreUnavailable(f"the store cannot be used: {words}")
    elif revision != newest:
        _copy(connection, path.with_name(f"{path.name}.before-{newest}"))
        with connection.begin():
            _migrate(connection)
        log.info("store_migrated", path=str(path), before=revision, after=newest)


def _copy(connection: Connection, target: Path) -> None:
    """Keep the file as it is: an older program can go on with it."""
    target.unlink(missing_ok=True)
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("VACUUM INTO ?", (str(target),))


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(revisions.SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
