"""Captured files, found and read back.

Decides which files are meant by a folder, and that files of two versions are not mixed: what a
candidate is held to is what one version answered. Reads a row group at a time, so that memory does
not grow with the files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from server.capture.arrow import pieces, plan_of
from server.capture.columns import CapturePlan
from server.capture.writer import SUFFIX
from server.operator_errors import DataInvalid
from server.wire.record import BatchRecords


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """One file."""

    path: Path
    plan: CapturePlan
    rows: int


@dataclass(frozen=True, slots=True)
class Captured:
    """What one version answered, in the order in which it did."""

    plan: CapturePlan
    files: tuple[CapturedFile, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    def records(self, rows: int) -> Iterator[BatchRecords]:
        """Yield all rows as records of whole requests: the fewest that have so many rows.

        Raises:
            DataInvalid: a file is damaged.

        """
        for file in self.files:
            try:
                with pq.ParquetFile(file.path) as parquet:
                    for group in range(parquet.num_row_groups):
                        yield from pieces(file.plan, parquet.read_row_group(group), rows)
            except (OSError, pa.ArrowException, KeyError, ValueError) as error:
                raise _damaged(file.path, error) from None


def find(paths: Sequence[Path], model: str, version: str | None) -> Captured:
    """Return the rows of a model's version that files, or files in folders, hold.

    `version` may be None if there is only one.

    Raises:
        DataInvalid: there are none, or of more than one version, or a file cannot be read.

    """
    files = [_open(path) for path in _files(paths)]
    of_model = [file for file in files if file.plan.model == model and file.rows]
    chosen = [file for file in of_model if version in (None, file.plan.version)]
    if not chosen:
        raise DataInvalid(
            f"no rows of model '{model}'" + (f" version {version}" if version else "") + " are in "
            f"{', '.join(map(str, paths))[:200]}",
            fix="name a folder of captured rows with --capture; see docs/capture.md",
        )
    kinds = sorted({(file.plan.version, file.plan.digest) for file in chosen})
    if len(kinds) > 1:
        listed = ", ".join(f"{version} ({digest[:12]})" for version, digest in kinds)
        raise DataInvalid(
            f"the rows are of several versions: {listed}",
            fix="choose one with --against, or name the folder of one with --capture",
        )
    if len({str(file.plan.to_json()["redacted"]) for file in chosen}) > 1:
        raise DataInvalid(
            "what is left out is not the same in all files",
            fix="name files from before or after the change of [capture] with --capture",
        )
    chosen.sort(key=lambda file: file.path.name)
    return Captured(chosen[-1].plan, tuple(chosen))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        yield from path.rglob(f"*{SUFFIX}") if path.is_dir() else [path]


def _open(path: Path) -> CapturedFile:
    try:
        with pq.ParquetFile(path) as file:
            return CapturedFile(path, plan_of(file.schema_arrow), file.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None
    except (KeyError, TypeError, ValueError):
        raise DataInvalid(
            f"{path.name} is no file of captured rows",
            fix="name files that a gateway has captured, or their folder, with --capture",
        ) from None


def _damaged(path: Path, error: Exception) -> DataInvalid:
    reason = " ".join(str(error).replace(str(path), path.name).split())
    return DataInvalid(
        f"{path.name} cannot be read: {reason[:200]}", fix="leave it out of --capture"
    )
