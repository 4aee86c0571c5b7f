"""From each revision of the schema to the newest, and never back."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from server.monitoring.joining import KeptLabel, SeriesKey
from server.monitoring.locating import RowKey, Version
from server.monitoring.prediction_blocks import Role
from server.monitoring.realised import Task
from server.monitoring.realised_figures import PairedCounts
from server.operator_errors import StoreUnavailable
from server.release.route import from_json
from server.statistics.sequential import Alert
from server.store import (
    alerts,
    audit,
    idempotency,
    labels,
    outbox,
    predictions,
    releases,
    revisions,
    sqlite_file,
    windows,
)
from server.store import evidence as store_evidence
from server.store.idempotency import Kept
from server.store.keys import EvidenceKey, IdempotencyKey, Subject
from server.store.transactions import Transactions
from tests.support.kept import HOUR, START_US

DUMPS = sorted((Path(__file__).parent / "dumps").glob("r*.sql"))
SUBJECT = Subject("iris", "3", "sha256:abc")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file lies."""
    return tmp_path / sqlite_file.FILE_NAME


def tables(connection: Connection) -> dict[str, str]:
    """Return the definition of every table and index, spaces aside."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"))
    return {name: " ".join(sql.replace(",", " , ").split()) for name, sql in rows}


def load(path: Path, dump: Path) -> None:
    """Make the file that a dump was taken from."""
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text(encoding="utf-8"))
    connection.close()


def test_a_new_file_and_a_migrated_one_have_the_same_tables(tmp_path: Path) -> None:
    """What is made at once, without alembic, is what the migrations lead to."""
    made, migrated = Transactions(tmp_path / "made", 1.0), Transactions(tmp_path / "migrated", 1.0)

    def migrate(connection: Connection) -> dict[str, str]:
        for name, definition in tables(connection).items():
            if definition.startswith("CREATE TABLE"):
                connection.execute(text(f"DROP TABLE {name}"))
        config = Config()
        config.set_main_option("script_location", str(revisions.SCRIPTS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return tables(connection)

    expected = migrated.run(migrate, is_durable=False)
    assert len(expected) >= 15
    assert made.run(tables, is_durable=False) == expected
    made.close()
    migrated.close()


def test_every_revision_has_a_dump() -> None:
    """Whoever adds a revision adds a file of it with rows, so that the next one is tested."""
    assert [dump.stem.removeprefix("r") for dump in DUMPS] == revisions.known()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_file_of_each_revision_is_read_with_its_rows(path: Path, dump: Path) -> None:
    """A file as an earlier program left it: every row is there after the migration."""
    load(path, dump)
    transactions = Transactions(path, 1.0)

    def check(connection: Connection) -> None:
        cells = windows.load_cells(connection, SUBJECT, 0)
        assert [(cell.start, cell.end, cell.counts.tolist()) for cell in cells] == [
            (1000.0, 1060.0, [1, 2, 3]),
            (1060.0, 1120.5, [4, 5, 2**40]),
            (1120.5, 1130.0, [0, 0, 1]),
        ]
        ((key, (state, evidence)),) = alerts.load_alerts(connection).items()
        assert (key.model, key.version, key.rule, key.column) == ("iris", "3", "drift", "petal")
        assert (state.alert, state.since_seconds, state.raised_seconds, state.streak) == (
            (Alert.FIRING, 1000.0, 1060.0, 2)
        )
        assert evidence == {"p": 1e-12}
        (entry,) = alerts.read_log(connection, "iris", 9)
        assert (entry.before, entry.after, entry.evidence) == (
            (Alert.PENDING, Alert.FIRING, {"p": 1e-12})
        )
        (event,) = outbox.due(connection, 5000.0)
        assert (event.event_id, event.body, event.attempts) == ("event-1", b'{"id": 1}', 1)
        assert not outbox.put(connection, "event-2", "iris drift", b"", 5000.0)

    transactions.run(check, is_durable=False)
    assert transactions.set_aside == 0
    transactions.close()


@pytest.mark.parametrize("dump", DUMPS[1:], ids=lambda dump: dump.stem)
def test_releases_of_each_revision_are_read(path: Path, dump: Path) -> None:
    """States, the audit, answers and evidence, as an earlier program left them; the chain holds."""
    load(path, dump)
    transactions = Transactions(path, 1.0)

    def check(connection: Connection) -> None:
        newest, *others = audit.history(connection, "iris", 99)
        assert releases.load_routes(connection) == {"iris": from_json(newest.after)}
        assert (newest.action, newest.after["live"], len(others)) == ("fall_back", "2", 11)
        assert audit.verify(connection) is None
        key = IdempotencyKey("key-1", "iris", "abc")
        found = idempotency.find(connection, key, 1000.0)
        assert found == Kept(200, b'{"generation":1}')
        assert store_evidence.load_all(connection) == {EvidenceKey("iris", "3", "4"): {"n": 1}}

    transactions.run(check, is_durable=False)
    transactions.close()


@pytest.mark.parametrize("dump", DUMPS[2:], ids=lambda dump: dump.stem)
def test_feedback_of_each_revision_is_read(path: Path, dump: Path) -> None:
    """Kept answers, a label and what it says, as an earlier program left them."""
    load(path, dump)
    transactions = Transactions(path, 1.0)
    of, key = Version("iris", "3", "abc"), RowKey(START_US + 1, 1, 0)

    def check(connection: Connection) -> None:
        (note,) = predictions.notes(connection, START_US, START_US + 9, own=False)
        found = predictions.read(connection, note)
        assert found is not None
        assert found.answers["score"].tolist() == [0.25, 0.75]
        kept = labels.load_labels(connection, [key])
        assert kept == {key: KeptLabel("1", "0", False, 1060.0, 1)}
        ((series_key, series),) = labels.load_since(connection, HOUR).items()
        assert series_key == SeriesKey(of, Task.BINARY, Role.LIVE, "", False, HOUR)
        assert (series.predicted, series.counts.right) == (2, 1)
        (pair,) = labels.load_pairs(connection).values()
        assert pair == PairedCounts(1, 2, 3, 4)

    transactions.run(check, is_durable=False)
    transactions.close()


NEXT = '''"""One more column."""

import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("alert", sa.Column("{column}", sa.Text))
    op.execute("UPDATE alert SET {column} = 'no'")
    {last}
'''


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the scripts of a later program, which has one revision more to be written."""
    scripts = tmp_path / "later"
    shutil.copytree(
        revisions.SCRIPTS, scripts, ignore=lambda _, names: [n for n in names if "cache" in n]
    )
    monkeypatch.setattr(revisions, "SCRIPTS", scripts)
    return scripts / "versions"


def add_revision(folder: Path, column: str = "muted", last: str = "") -> str:
    """Write the next revision; return its number."""
    before = revisions.known()[-1]
    number = f"{int(before) + 1:04}"
    body = NEXT.format(number=number, before=before, column=column, last=last)
    (folder / f"r{number}_more.py").write_text(body, encoding="utf-8")
    return number


def muted(connection: Connection) -> list[tuple[str, str]]:
    """Return the rows of the table that the next revision changes."""
    return [tuple(row) for row in connection.execute(text("SELECT rule, muted FROM alert"))]


def test_an_older_file_is_migrated_and_kept(path: Path, following: Path) -> None:
    """The next revision is brought in with all rows, and a copy of the file from before stays."""
    load(path, DUMPS[-1])
    number = add_revision(following)
    transactions = Transactions(path, 1.0)

    assert transactions.run(muted, is_durable=False) == [("drift", "no")]
    transactions.close()
    found = sqlite_file.look(path)
    assert found is not None
    assert found.revision == number
    kept = sqlite_file.look(path.with_name(f"{path.name}.before-{number}"))
    assert kept is not None
    assert kept.revision == DUMPS[-1].stem.removeprefix("r")


def test_a_migration_that_fails_changes_nothing(path: Path, following: Path) -> None:
    """All steps are one transaction: after a fault in the last one the file is as it was."""
    load(path, DUMPS[-1])
    connection = sqlite3.connect(path)
    before = list(connection.iterdump())
    add_revision(following, column="first")
    add_revision(following, last='op.execute("INSERT INTO nowhere VALUES (1)")')

    with pytest.raises(StoreUnavailable, match="no such table: nowhere"):
        Transactions(path, 1.0).run(muted, is_durable=False)

    assert list(connection.iterdump()) == before
    connection.close()


def test_a_newer_file_is_refused_and_left_as_it_is(path: Path) -> None:
    """What to do is said; the file and its rows are not touched."""
    load(path, DUMPS[-1])
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    before = list(connection.iterdump())

    with pytest.raises(StoreUnavailable, match=r"revision 0999, newer than .* run the newer"):
        Transactions(path, 1.0).run(muted, is_durable=False)

    assert list(connection.iterdump()) == before
    connection.close()
    assert {entry.name for entry in path.parent.iterdir()} == {path.name}
