"""Captured rows on the disk: one open file for each version, in a folder that does not grow.

Decides when a file is closed (64 MiB, or ten minutes after it was begun), what it is called, and
which files go when there is no room: the oldest, whatever their model. A file has its name when it
is whole and on the disk; until then it is `.….partial`, and what a killed process leaves of it is
removed at the next start. When the disk does not take a file, that file is given up, and nothing is
written for a minute.

Layout: <folder>/<model>/<version>-<digest>/<when it was begun>.parquet

Concurrency: one thread at a time.
Lifetime: that of control, from the first row that is captured.
"""

import contextlib
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from server.capture.arrow import WrongShape, batch_of, schema_of
from server.capture.columns import MODEL_VERSION, CapturePlan, Form
from server.capture.rows import Taken, chosen

log = structlog.get_logger()

FILE_BYTES = 64 << 20
FILE_SECONDS = 600.0
GROUP_ROWS = 16_384
GROUP_BYTES = 8 << 20
"""Rows and bytes that wait in memory to be written together: more would take a core for so long
that predictions feel it."""
PAUSE_SECONDS = 60.0
MAX_SHARE = 8
"""A file is closed before it takes more than this part of the room: some older ones stay."""

DIGEST_CHARACTERS = 12
SUFFIX, PARTIAL = ".parquet", ".partial"
_OWN_FILE = re.compile(r"\d{8}T\d{6}\.\d{6}Z(-\d+)?\.parquet")


class FileKey(NamedTuple):
    """Which file a row goes to."""

    model: str
    version: str
    digest: str


@dataclass(slots=True)
class Outcome:
    """What became of rows that were given."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows taken, by model and version."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Batches, by reason: `disk`, `failed`. Those of a file that was given up had been taken."""
    removed_files: int = 0
    held_bytes: int = 0
    """All files, those that are being written included."""


class CaptureWriter:
    """All files of a capture folder; nobody else writes there."""

    def __init__(
        self, folder: Path, max_bytes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._file_bytes = min(FILE_BYTES, max_bytes // MAX_SHARE)
        self._clock = clock
        self._open: dict[FileKey, _OpenFile] = {}
        self._closed: dict[Path, int] = {}
        """Bytes of each whole file."""
        self._paused_until = -1.0
        for leftover in self._files(PARTIAL):
            with contextlib.suppress(OSError):
                leftover.unlink()
        self._scan()

    def write(self, items: Sequence[Taken]) -> Outcome:
        """Take rows, and close the files that are due; never raises for what a disk does."""
        outcome = Outcome()
        for item in items:
            self._take(item, outcome)
        for key, file in list(self._open.items()):
            is_old = self._clock() - file.begun > FILE_SECONDS
            if is_old or file.size_bytes >= self._file_bytes:
                self._close(key, outcome)
        self._make_room(outcome)
        outcome.held_bytes = self._held_bytes()
        return outcome

    def close(self) -> None:
        """Close all files."""
        outcome = Outcome()
        for key in list(self._open):
            self._close(key, outcome)
        self._make_room(outcome)

    def _take(self, item: Taken, outcome: Outcome) -> None:
        plan, batches = item.plan, int(item.is_chosen.sum())
        if self._clock() < self._paused_until:
            outcome.dropped["disk"] += batches
            return
        records = chosen(item.records, item.is_chosen)
        key = FileKey(plan.model, plan.version, plan.digest)
        file = self._open.get(key)
        try:
            if file is not None and file.plan != plan:
                self._close(key, outcome)  # What is left out is another now.
                file = None
            if file is None:
                file = self._open[key] = _OpenFile(plan, self._path_of(plan), self._clock())
            file.add(batch_of(plan, file.schema, records), batches)
        except OSError as error:
            self._give_up(key, error, outcome, batches)
            return
        except (WrongShape, pa.ArrowException, ValueError) as error:
            outcome.dropped["failed"] += batches
            log.warning(
                "rows_not_captured", model=plan.model, version=plan.version, error=str(error)[:200]
            )
            return
        outcome.rows[plan.model, plan.version] += records.rows

    def _give_up(self, key: FileKey, error: OSError, outcome: Outcome, batches: int = 0) -> None:
        """Do without a file that the disk does not take, and without others for a while."""
        file = self._open.pop(key, None)
        lost = batches
        if file is not None:
            lost += file.batches
            file.give_up()
        outcome.dropped["disk"] += lost
        self._paused_until = self._clock() + PAUSE_SECONDS
        log.error("capture_paused", error=error.strerror, seconds=PAUSE_SECONDS)

    def _close(self, key: FileKey, outcome: Outcome) -> None:
        file = self._open[key]
        try:
            self._closed[file.path] = file.close()
        except OSError as error:
            self._give_up(key, error, outcome)
        else:
            del self._open[key]

    def _path_of(self, plan: CapturePlan) -> Path:
        """Return where a new file goes; its folder is there."""
        folder = self._folder / plan.model / f"{plan.version}-{plan.digest[:DIGEST_CHARACTERS]}"
        folder.mkdir(parents=True, exist_ok=True)
        begun = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        number = 0
        while (path := folder / f"{begun}{f'-{number}' if number else ''}{SUFFIX}").exists():
            number += 1
        return path

    # Room.

    def _held_bytes(self) -> int:
        return sum(self._closed.values()) + sum(file.size_bytes for file in self._open.values())

    def _make_room(self, outcome: Outcome) -> None:
        """Remove the oldest files until the folder is no larger than it may be."""
        if self._held_bytes() <= self._max_bytes:
            return
        self._scan()  # Somebody may have taken files away.
        self._remove_oldest(outcome)
        if self._held_bytes() > self._max_bytes:  # So much is open, of many versions at once.
            for key in list(self._open):
                self._close(key, outcome)
            self._remove_oldest(outcome)

    def _remove_oldest(self, outcome: Outcome) -> None:
        for path in sorted(self._closed, key=lambda one: one.name):
            if self._held_bytes() <= self._max_bytes:
                return
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            del self._closed[path]
            outcome.removed_files += 1
            in_use = {file.path.parent for file in self._open.values()}
            if path.parent not in in_use:
                with contextlib.suppress(OSError):  # Others are in it.
                    path.parent.rmdir()

    def _scan(self) -> None:
        self._closed = {}
        for path in self._files(SUFFIX):
            with contextlib.suppress(OSError):
                if _OWN_FILE.fullmatch(path.name):
                    self._closed[path] = path.stat().st_size

    def _files(self, suffix: str) -> Iterator[Path]:
        yield from self._folder.glob(f"*/*/*{suffix}")


class _OpenFile:
    """A file that is being written."""

    def __init__(self, plan: CapturePlan, path: Path, begun: float) -> None:
        self.plan = plan
        self.path = path
        self.begun = begun
        self.schema = schema_of(plan)
        self.batches = 0
        self._waiting: list[Any] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._partial = path.with_name(f".{path.name}{PARTIAL}")
        self._sink = pa.OSFile(str(self._partial), "wb")
        try:
            self._writer = pq.ParquetWriter(
                self._sink,
                self.schema,
                compression="zstd",
                use_dictionary=[MODEL_VERSION, *_text_columns(plan)],
            )
        except OSError:
            self._let_go(self._sink)
            raise

    @property
    def size_bytes(self) -> int:
        """What is in the file; what waits in memory is not."""
        return int(self._sink.tell())

    def add(self, batch: Any, batches: int) -> None:
        """Take rows; OSError: the disk does not."""
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._write_group()
        self.batches += batches

    def _write_group(self) -> None:
        """Write what waits as one row group: no request is in two."""
        table = pa.Table.from_batches(self._waiting, self.schema)
        self._waiting.clear()
        self._waiting_rows = self._waiting_bytes = 0
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> int:
        """Write the rest and give the file its name; return its size."""
        if self._waiting:
            self._write_group()
        self._writer.close()
        self._sink.close()
        with self._partial.open("rb") as written:
            os.fsync(written.fileno())
        size = self._partial.stat().st_size
        self._partial.rename(self.path)
        return size

    def give_up(self) -> None:
        """Let go of it and of what is on the disk."""
        self._let_go(self._writer, self._sink)

    def _let_go(self, *parts: Any) -> None:
        for part in parts:
            with contextlib.suppress(OSError, pa.ArrowException):
                part.close()
        with contextlib.suppress(OSError):
            self._partial.unlink()


def _text_columns(plan: CapturePlan) -> list[str]:
    """Return the columns of text of one value: those often repeat."""
    return [
        name
        for columns in (*plan.inputs, *plan.outputs)
        if columns.spec.datatype.is_text and columns.form is Form.FLAT
        for name in columns.names
    ]
