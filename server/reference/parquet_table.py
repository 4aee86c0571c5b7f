"""Parquet files, where pyarrow is installed: numbers, booleans, text, and lists of numbers.

Decides which types are columns. Null is NaN in numbers and None in text. Reads a chunk at a time,
so memory does not grow with the file beyond one row group.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from server.operator_errors import DataInvalid
from server.reference.tables import CHUNK_ROWS, Chunk
from server.tensors import Array


class ParquetTable:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet as parquet
        except ImportError:
            raise DataInvalid(
                f"{path.name}: reading Parquet needs pyarrow, which is not installed",
                fix="pip install 'tidegate[parquet]', or write the rows as CSV",
            ) from None
        self._path = path
        self._arrow = pyarrow
        try:
            self._file = parquet.ParquetFile(path)
        except (pyarrow.ArrowException, ValueError) as error:
            raise self._broken(error) from None
        self._rows = self._file.metadata.num_rows
        self.names: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        if len(set(self.names)) < len(self.names):
            raise DataInvalid(
                f"{path.name}: two columns have the same name",
                fix="give each column a name of its own",
            )

    def chunks(self) -> Iterator[Chunk]:
        """Read the rows from the first one on; see `Table.chunks`."""
        first = 0
        try:
            for batch in self._file.iter_batches(batch_size=CHUNK_ROWS):
                columns = {
                    name: self._values(name, column)
                    for name, column in zip(self.names, batch.columns, strict=True)
                }
                end = first + batch.num_rows
                yield Chunk(np.arange(first, end), columns, end / max(1, self._rows))
                first = end
        except self._arrow.ArrowException as error:
            raise self._broken(error) from None
        except OSError as error:
            raise self._broken(error) from None

    def _values(self, name: str, column: Any) -> Array:
        types = self._arrow.types
        if types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if types.is_list(kind) or types.is_fixed_size_list(kind) or types.is_large_list(kind):
            return self._lists(name, column)
        if types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind):
            return _objects(column.to_pylist())
        if types.is_timestamp(kind):  # Numbers of UTC, or of nobody knows where, as is text.
            moments = column.cast(self._arrow.timestamp("us"), safe=False)
            texts = np.datetime_as_string(moments.to_numpy(zero_copy_only=False))
            return np.asarray(texts.astype(object))
        if types.is_boolean(kind) and column.null_count:
            return np.array([_number(value) for value in column.to_pylist()], np.float64)
        if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
            return np.asarray(column.to_numpy(zero_copy_only=False))
        raise DataInvalid(
            f"{self._path.name}: column '{name[:64]}' is {kind}, expected numbers, booleans, text "
            "or lists of numbers",
            fix="cast it, as the model's input was made of it",
        )

    def _lists(self, name: str, column: Any) -> Array:
        try:
            rows = np.array(column.to_pylist(), np.float64)
        except (TypeError, ValueError):
            rows = np.empty(0)
        if rows.ndim < 2 or len(rows) != len(column):
            raise DataInvalid(
                f"{self._path.name}: the lists of column '{name[:64]}' are not all of the same "
                "number of numbers",
                fix="write lists of one length, without null",
            )
        return rows

    def _broken(self, error: Exception) -> DataInvalid:
        reason = " ".join(str(error).replace(str(self._path), self._path.name).split())
        return DataInvalid(
            f"{self._path.name} cannot be read: {reason[:200]}", fix="write it again as Parquet"
        )


def _objects(values: list[Any]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _number(value: bool | None) -> float:
    return float("nan") if value is None else float(value)
