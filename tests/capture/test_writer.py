"""Files of captured rows: when they are whole, how many stay, and what a full disk does."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from server.capture import writer
from server.capture.arrow import plan_of
from server.capture.rows import Taken
from server.capture.writer import FILE_SECONDS, PAUSE_SECONDS, CaptureWriter
from server.tensors import DATATYPES, Signature, TensorSpec
from tests.support import captured
from tests.support.captured import plan, taken

ROOM = 1 << 30
NOISE = Signature((TensorSpec("x", DATATYPES["FP32"], (-1, 4096)),), ())
"""Rows that hardly get smaller."""

LIMITED = """
import json, resource, sys
from pathlib import Path
from server.capture import writer as module
from server.capture.writer import CaptureWriter
from tests.capture.test_writer import noise
module.GROUP_ROWS = 12
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
writer = CaptureWriter(Path(sys.argv[1]), 1 << 30)
first, second = writer.write([noise(0)]), writer.write([noise(1)])
writer.close()
print(json.dumps([first.rows.total(), first.dropped, second.rows.total(), second.dropped]))
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from server.capture.writer import CaptureWriter
from tests.capture.test_writer import noise
writer = CaptureWriter(Path(sys.argv[1]), 1 << 30)
writer.write([noise(0)])
writer.close()
writer.write([noise(1)])
os.kill(os.getpid(), signal.SIGKILL)
"""


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def noise(seed: int) -> Taken:
    """Return 6 rows of 16 KiB."""
    return taken(plan(NOISE), captured.records_of(NOISE, seed=seed))


def whole(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/*.parquet"))


def partial(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/.*"))


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """Until it is closed there is nothing for a reader; then it holds every row that was chosen."""
    files = CaptureWriter(tmp_path, ROOM)
    records = captured.records_of(requests=((1, 2), (3,)))
    outcome = files.write([Taken(plan(), records, np.array([False, True]))])

    assert outcome.rows == {("m", "1"): 3}
    assert not outcome.dropped
    assert not whole(tmp_path)
    files.close()
    (path,) = whole(tmp_path)
    assert path.parent == tmp_path / "m" / "1-d1d1d1d1d1d1"
    assert not partial(tmp_path)
    table = pq.read_table(path)
    assert plan_of(table.schema) == plan()
    np.testing.assert_array_equal(table["label"].to_numpy(), records.outputs[0].array[3:])


def test_a_file_is_closed_when_it_is_old(tmp_path: Path) -> None:
    """Ten minutes after it was begun, also if nothing comes any more."""
    clock = Clock()
    files = CaptureWriter(tmp_path, ROOM, clock)
    files.write([taken(plan(), captured.records_of())])
    clock.now += FILE_SECONDS
    files.write([])
    assert not whole(tmp_path)
    clock.now += 1
    files.write([])

    assert len(whole(tmp_path)) == 1
    files.write([taken(plan(), captured.records_of())])
    files.close()
    assert len(whole(tmp_path)) == 2


def test_a_file_is_closed_when_what_is_left_out_changes(tmp_path: Path) -> None:
    """Its metadata is about all of its rows."""
    files = CaptureWriter(tmp_path, ROOM)
    for of in (plan(), plan(redacted={"x": [0]})):
        files.write([taken(of, captured.records_of())])
    files.close()

    assert [plan_of(pq.read_schema(path)).redacted for path in whole(tmp_path)] == [{}, {"x": [0]}]


def test_the_oldest_files_go_when_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder stays below its bound, of all models together; the newest rows are there."""
    monkeypatch.setattr(writer, "GROUP_ROWS", 1)
    room = 1_000_000
    files = CaptureWriter(tmp_path, room)
    removed = 0
    for seed in range(30):
        of = plan(NOISE, model=f"m{seed % 2}")
        outcome = files.write([taken(of, captured.records_of(NOISE, seed=seed))])
        removed += outcome.removed_files
        assert outcome.held_bytes <= room
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.p*")) <= room
    files.close()

    assert removed
    assert len(whole(tmp_path)) + removed >= 10
    newest = max(whole(tmp_path), key=lambda path: path.name)
    assert pq.read_table(newest)["x"].to_pylist()[-1] == pytest.approx(
        captured.records_of(NOISE, seed=29).inputs[0].array[-1].tolist(), nan_ok=True
    )


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """Only what has a name of ours counts and is removed."""
    strange = tmp_path / "m" / "1" / "mine.parquet"
    strange.parent.mkdir(parents=True)
    strange.write_bytes(bytes(2_000_000))
    files = CaptureWriter(tmp_path, 1_000_000)

    assert files.write([]).held_bytes == 0
    assert strange.exists()


def test_files_are_found_again_after_a_restart(tmp_path: Path) -> None:
    """They count towards the bound, and the oldest still go first."""
    first = CaptureWriter(tmp_path, ROOM)
    first.write([noise(0)])
    first.close()
    (old,) = whole(tmp_path)
    again = CaptureWriter(tmp_path, old.stat().st_size + 1000)
    assert again.write([]).held_bytes == old.stat().st_size
    again.write([noise(1)])
    again.close()

    assert old not in whole(tmp_path)


def test_a_killed_process_loses_the_open_file_only(tmp_path: Path) -> None:
    """What was closed can be read; what is left of the other goes at the next start."""
    done = run(KILLED, tmp_path)

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(whole(tmp_path)) == len(partial(tmp_path)) == 1
    CaptureWriter(tmp_path, ROOM)
    assert not partial(tmp_path)
    assert pq.read_table(*whole(tmp_path)).num_rows == 6


def test_a_disk_that_is_full_costs_one_file_and_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is given up and nothing is written for a while; then all goes on."""
    clock = Clock()
    files = CaptureWriter(tmp_path, ROOM, clock)
    files.write([taken(plan(), captured.records_of())])
    monkeypatch.setattr(writer, "GROUP_ROWS", 1)
    blocked = tmp_path / "other"
    blocked.write_text("no folder")  # As a disk that takes no new folder.
    outcome = files.write([taken(plan(model="other"), captured.records_of())])

    assert outcome.dropped == {"disk": 2}
    assert files.write([taken(plan(), captured.records_of())]).dropped == {"disk": 2}
    blocked.unlink()
    clock.now += PAUSE_SECONDS
    outcome = files.write([taken(plan(model="other"), captured.records_of())])
    files.close()
    assert not outcome.dropped
    assert len(whole(tmp_path)) == 2


def test_a_file_that_cannot_grow_is_given_up(tmp_path: Path) -> None:
    """With a real limit of the system: nothing is raised, and nothing half written stays."""
    done = run(LIMITED, tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [6, {}, 0, {"disk": 4}]
    assert not whole(tmp_path)
    assert not partial(tmp_path)


def test_a_file_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    """The disk takes its name, and not one byte of it."""
    done = run(LIMITED.replace("100_000, 100_000", "0, 0"), tmp_path)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, {"disk": 2}, 0, {"disk": 2}]
    assert not partial(tmp_path)


def test_rows_that_are_not_as_declared_cost_themselves_only(tmp_path: Path) -> None:
    """Their batches are counted, and others go on."""
    files = CaptureWriter(tmp_path, ROOM)
    outcome = files.write([taken(plan(), noise(0).records), taken(plan(), captured.records_of())])

    assert outcome.dropped == {"failed": 2}
    assert outcome.rows == {("m", "1"): 6}
    files.close()
