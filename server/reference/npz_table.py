"""NumPy archives: an array for each input, or for each column, whose first dimension is the rows.

Names may begin with `inputs/`, as in golden.npz; arrays of `outputs/` are passed over, because the
model is asked anew. Nothing is unpickled. Each array is read whole.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from server.operator_errors import DataInvalid
from server.reference.tables import CHUNK_ROWS, Chunk
from server.tensors import Array, file_problem

_KINDS = "biufU"
"""NumPy's letters for booleans, integers, floats and text."""


class NpzTable:
    """A NumPy archive."""

    def __init__(self, path: Path) -> None:
        self._arrays = {
            name.removeprefix("inputs/"): array
            for name, array in _read(path).items()
            if not name.startswith("outputs/")
        }
        self.names = tuple(self._arrays)
        for name, array in self._arrays.items():
            if array.dtype.kind not in _KINDS or not array.ndim:
                raise DataInvalid(
                    f"{path.name}: array '{name[:64]}' is {array.dtype} of shape "
                    f"{list(array.shape)}, expected rows of numbers, booleans or text",
                    fix="save text as NumPy's fixed-width Unicode: array.astype(str)",
                )
        rows = {name: len(array) for name, array in self._arrays.items()}
        if len(set(rows.values())) > 1:
            raise DataInvalid(
                f"{path.name}: arrays have different numbers of rows: {rows}",
                fix="save the same rows of each",
            )
        self._rows = max(rows.values(), default=0)

    def chunks(self) -> Iterator[Chunk]:
        """Read the rows from the first one on; see `Table.chunks`."""
        for first in range(0, self._rows, CHUNK_ROWS):
            part = slice(first, first + CHUNK_ROWS)
            columns = {name: _plain(array[part]) for name, array in self._arrays.items()}
            end = min(first + CHUNK_ROWS, self._rows)
            yield Chunk(np.arange(first, end), columns, end / self._rows)


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            return {name: np.asarray(archive[name]) for name in archive.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataInvalid(
            f"{path.name} cannot be read: {file_problem(error)[:200]}",
            fix="write it with numpy.savez, text as array.astype(str)",
        ) from None


def _plain(array: Array) -> Array:
    """Return text as objects, numbers as they are."""
    return array.astype(object) if array.dtype.kind == "U" else array
