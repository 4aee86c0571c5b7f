"""A program that changes a release and kills itself on the way, at every point in turn.

Run as `python -m tests.support.release_killer FOLDER TIMES`. For each kind of change it prints one
line of JSON: a list of [point, acknowledged, state, fault of the audit], one for each killed child.
A child is a fork of this process, which has imported everything and has no file open.
"""

import gc
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from server.release.change import Change
from server.store import audit, idempotency, releases, sqlite_file
from server.store.idempotency import Kept
from server.store.keys import IdempotencyKey
from server.store.transactions import Transactions
from tests.support.release_changes import changes

KINDS = ("promote", "rollback", "start_shadow", "next_step", "hold")
BEFORE, AFTER, NEITHER = "before", "after", "neither"
KEPT = Kept(200, b"{}")

Point = Callable[[str], None]


def saving(change: Change) -> Callable[[Connection], None]:
    """Return what control does in one transaction: the change, and the answer to its caller."""

    def work(connection: Connection) -> None:
        releases.save_change(connection, change)
        idempotency.keep(connection, key_of(change), KEPT, change.at_seconds)

    return work


def key_of(change: Change) -> IdempotencyKey:
    """Return the key under which the answer to a change is kept."""
    return IdempotencyKey(change.request_id, change.model, change.action)


def state_in(connection: Connection, change: Change) -> str:
    """Say which state a file is in: that before a change or after it, in all its tables."""
    found = (
        releases.load_routes(connection).get(change.model),
        idempotency.find(connection, key_of(change), change.at_seconds),
        len(audit.history(connection, change.model, 100)),
    )
    generation = change.before.generation
    if found == (change.before if generation else None, None, generation):
        return BEFORE
    return AFTER if found == (change.after, KEPT, generation + 1) else NEITHER


def prepare(path: Path, before: list[Change]) -> None:
    """Make the file that the changes before have left, with nothing in its log."""
    store = Transactions(path, 1.0)
    for change in before:
        store.run(saving(change), is_durable=False)
    if not before:
        store.run(releases.load_routes, is_durable=False)
    store.close()


def apply_and_die(path: Path, change: Change, deadly: int, pipe: int) -> None:
    """Apply a change, and kill this process when it comes to the point of a number."""
    reached = 0

    def point(name: str) -> None:
        nonlocal reached
        if reached == deadly:
            os.write(pipe, f"at {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        reached += 1

    listen(point)
    store = Transactions(path, 1.0)
    store.run(saving(change), is_durable=True)
    point("after COMMIT")
    os.write(pipe, b"acknowledged\n")
    point("after the answer")


def listen(point: Point) -> None:
    """Have every statement and the commit come by a point: before one is after the one before."""

    def before(*seen: Any) -> None:
        point(f"before {words(seen[2])}")

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Engine, "commit", lambda _: point("before COMMIT"))


def words(statement: str) -> str:
    """Return what tells one statement of the path from another."""
    parts = statement.split()
    table = parts[parts.index("FROM") + 1] if "FROM" in parts else parts[-1]
    return f"{parts[0]} {parts[2] if parts[0] == 'INSERT' else table}"


class Deaths:
    """Children that die while they change a copy of a file, and a look at what each has left."""

    def __init__(self, base: Path, path: Path, change: Change) -> None:
        self._base = base
        self._path = path
        self._change = change
        # One engine for all looks: what it has compiled once is used again.
        self._engine = create_engine(
            "sqlite://", creator=lambda: sqlite_file.connect(path, 1.0), poolclass=NullPool
        )

    def at(self, deadly: int) -> list[Any] | None:
        """Let a child die at a point; return what it has left, None if it came to its end."""
        for part in self._path.parent.iterdir():
            part.unlink()
        shutil.copyfile(self._base, self._path)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            apply_and_die(self._path, self._change, deadly, writing)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as lines:
            said = lines.read().splitlines()
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return None
        assert os.WTERMSIG(status) == signal.SIGKILL
        with self._engine.connect() as connection:
            state = state_in(connection, self._change)
            problem = audit.verify(connection)
        return [said[-1].removeprefix("at "), "acknowledged" in said, state, str(problem)]

    def go_on(self) -> str:
        """Apply the change to what the last child has left; return the state that follows."""
        store = Transactions(self._path, 1.0)
        store.run(saving(self._change), is_durable=True)
        state = store.run(lambda connection: state_in(connection, self._change), is_durable=False)
        store.close()
        return state


def main(folder: Path, times: int) -> None:
    """Go through the kinds of changes and all points, several times each."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.freeze()  # Children that collect what they share with us would copy it.
    all_changes = list(changes("digits"))
    path = folder / "killed" / sqlite_file.FILE_NAME
    path.parent.mkdir()
    for position, change in enumerate(all_changes):
        if change.action not in KINDS:
            continue
        base = folder / f"{position}.db"
        prepare(base, all_changes[:position])
        deaths = Deaths(base, path, change)
        seen, deadly = [], 0
        while (death := deaths.at(deadly)) is not None:
            if death[2] == BEFORE:
                assert deaths.go_on() == AFTER
            seen += [death, *(deaths.at(deadly) for _ in range(times - 1))]
            deadly += 1
        sys.stdout.write(json.dumps([change.action, seen]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
