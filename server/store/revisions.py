"""Revisions of the schema: which ones this program knows, and how a file gets to the newest.

Decides that a new file is made at once as the newest revision, that an older one is copied first
and then migrated in one transaction, and that a newer one is refused. Alembic, which takes a
quarter of a second to import, is imported for a migration only.
"""

import re
from pathlib import Path

from sqlalchemy import Connection

from server.errors import StoreUnavailable
from server.store import schema

SCRIPTS = Path(__file__).parent / "migrations"


def known() -> list[str]:
    """Return the revisions that this program has, oldest first."""
    names = [path.name for path in (SCRIPTS / "versions").glob("r*.py")]
    return sorted(found[1] for name in names if (found := re.match(r"r(\d{4})_", name)))


def refusal(revision: str) -> str:
    """Say why a file of `revision` cannot be used, and what to do; empty if it can be."""
    revisions = known()
    if revision in revisions:
        return ""
    return (
        f"its schema is of revision {revision}, newer than {revisions[-1]}, the newest that this "
        "program knows: run the newer program again, or stop the gateway and move the file away"
    )


def bring_up(connection: Connection, revision: str | None, path: Path) -> None:
    """Bring a file to the newest revision. `connection` is outside a transaction.

    Raises:
        StoreUnavailable: the file is of a newer revision.
        sqlalchemy.exc.DBAPIError: it cannot be written; it is as it was.

    """
    newest = known()[-1]
    if revision == newest:
        return
    if revision is None:
        with connection.begin():
            schema.METADATA.create_all(connection)
            connection.execute(schema.REVISION.insert().values(version_num=newest))
        return
    if words := refusal(revision):
        raise StoreUnavailable(f"the store cannot be used: {words}")
    _copy(connection, path.with_name(f"{path.name}.before-{newest}"))
    with connection.begin():
        _migrate(connection)


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
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
