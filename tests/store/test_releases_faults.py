"""A release is changed as a whole or not at all, wherever the process is killed while it writes.

Two ways to die: by SIGKILL between the statements of the path, and in the middle of the writes that
SQLite makes at the commit, which leave some beginning of its log.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from server.release.change import Change
from server.store import audit, sqlite_file
from server.store.transactions import Transactions
from tests.support.documents import ROOT
from tests.support.release_changes import changes
from tests.support.release_killer import AFTER, BEFORE, KINDS, prepare, saving, state_in

TIMES = 5
CHANGES = list(changes("digits"))
POSITIONS = {change.action: position for position, change in enumerate(CHANGES)}
PAGE_BYTES, LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 4096, 32, 24


def test_a_kill_leaves_the_state_before_or_after(tmp_path: Path) -> None:
    """At each point of each kind of change, five times; what was acknowledged is always there."""
    program = [sys.executable, "-m", "tests.support.release_killer", str(tmp_path), str(TIMES)]
    result = subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)

    points: Counter[tuple[str, str]] = Counter()
    for line in result.stdout.splitlines():
        kind, deaths = json.loads(line)
        states = []
        for point, is_acknowledged, state, problem in deaths:
            points[kind, point] += 1
            assert state in (BEFORE, AFTER), (kind, point)
            assert problem == "None", (kind, point)
            assert state == AFTER or not is_acknowledged, (kind, point)
            states.append(state)
        # The commit is the one moment at which the one state becomes the other.
        assert states == sorted(states, key=[BEFORE, AFTER].index)
        assert set(states) == {BEFORE, AFTER}
    assert {kind for kind, _ in points} == set(KINDS)
    assert len(points) >= 40
    assert set(points.values()) == {TIMES}


@pytest.mark.parametrize("kind", KINDS)
def test_a_log_that_was_cut_anywhere_leaves_the_state_before_or_after(
    tmp_path: Path, kind: str
) -> None:
    """Whatever SQLite had written of its log when the process or the machine died."""
    position = POSITIONS[kind]
    change = CHANGES[position]
    base = tmp_path / "base.db"
    prepare(base, CHANGES[:position])
    log = log_of(base, change, tmp_path)
    path = tmp_path / "cut" / sqlite_file.FILE_NAME
    path.parent.mkdir()

    states = []
    for size in cuts(len(log)):
        for part in path.parent.iterdir():
            part.unlink()
        shutil.copyfile(base, path)
        path.with_name(f"{path.name}-wal").write_bytes(log[:size])
        store = Transactions(path, 1.0)
        states.append(store.run(lambda c: state_in(c, change), is_durable=False))
        assert store.run(audit.verify, is_durable=False) is None
        assert store.set_aside == 0
        store.close()

    assert states[0] == BEFORE
    assert states[-1] == AFTER
    assert states.count(AFTER) == 1, "only the whole log has the change"
    assert set(states) == {BEFORE, AFTER}


def log_of(base: Path, change: Change, folder: Path) -> bytes:
    """Return the log that a change leaves, before any of it has come into the file."""
    path = folder / "whole" / sqlite_file.FILE_NAME
    path.parent.mkdir()
    shutil.copyfile(base, path)
    store = Transactions(path, 1.0)
    store.run(saving(change), is_durable=True)
    log = path.with_name(f"{path.name}-wal").read_bytes()
    store.close()
    return log


def cuts(size: int) -> list[int]:
    """Return where to cut a log: at, before and after each border, and within each page."""
    frame = FRAME_HEADER_BYTES + PAGE_BYTES
    borders = range(LOG_HEADER_BYTES, size + 1, frame)
    near = {border + step for border in borders for step in (-1, 0, frame // 2)}
    return sorted({0, *(one for one in near if one <= size)})
