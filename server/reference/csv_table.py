"""CSV files: UTF-8, a line of names, then rows; separated by comma, semicolon or tab.

Decides nothing about cells: they stay text. Reads a chunk at a time, so memory does not grow with
the file.
"""

import csv
import io
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import TextIO

import numpy as np

from server.operator_errors import DataInvalid
from server.reference.tables import CHUNK_ROWS, Chunk

_SEPARATORS = ",;\t"
_MAX_CELL_CHARACTERS = 128 << 20


class CsvTable:
    """A CSV file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = max(1, path.stat().st_size)
        self._separator, self.names = self._read_names()

    def _read_names(self) -> tuple[str, tuple[str, ...]]:
        try:
            with self._path.open(encoding="utf-8-sig") as lines:
                first = lines.readline()
            separator = max(_SEPARATORS, key=first.count)
            names = next(csv.reader([first.rstrip("\r\n")], delimiter=separator), [])
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._broken(1, error) from None
        names = [name.strip() for name in names]
        if not any(names):
            raise DataInvalid(
                f"{self._path.name} is empty", fix="begin it with a line of the columns' names"
            )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataInvalid(
                f"{self._path.name}: two columns are called '{twice[:64]}'",
                fix="give each column a name of its own",
            )
        return separator, tuple(names)

    def chunks(self) -> Iterator[Chunk]:
        """Read the rows from the first one on; see `Table.chunks`."""
        csv.field_size_limit(_MAX_CELL_CHARACTERS)
        with self._path.open("rb") as raw:
            lines = io.TextIOWrapper(raw, "utf-8-sig", newline="")
            rows = self._rows(lines)
            for first in count(0, CHUNK_ROWS):
                some = list(islice(rows, CHUNK_ROWS))
                if not some:
                    return
                columns = dict(zip(self.names, map(list, zip(*some, strict=True)), strict=True))
                places = np.arange(first, first + len(some))
                yield Chunk(places, columns, min(1.0, raw.tell() / self._size))

    def _rows(self, lines: TextIO) -> Iterator[list[str]]:
        """Yield the rows after the line of names; empty lines are none."""
        reader = csv.reader(lines, delimiter=self._separator)
        try:
            next(reader, None)
            for row in reader:
                if len(row) == len(self.names):
                    yield row
                elif row:
                    raise DataInvalid(
                        f"{self._path.name}, line {reader.line_num}: {len(row)} cells, expected "
                        f"{len(self.names)}",
                        fix="put cells that hold a separator in quotes",
                    )
        except (csv.Error, UnicodeDecodeError) as error:
            raise self._broken(reader.line_num + 1, error) from None

    def _broken(self, line: int, error: Exception) -> DataInvalid:
        what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        return DataInvalid(
            f"{self._path.name}, about line {line}: {what}", fix="write it as CSV in UTF-8"
        )
