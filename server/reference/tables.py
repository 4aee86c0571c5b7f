"""Rows of a file as named columns, a chunk at a time: what all kinds of files have in common.

Decides what a reader of files gives. A table can be read again from its beginning. Does not know
models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from server.tensors import Array

CHUNK_ROWS = 4096

Values = list[str] | Array
"""Cells of text as a file has them, or an array whose first dimension is the rows: numbers,
booleans, or objects that are text or None."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a table."""

    places: NDArray[np.intp]
    """Numbers of the rows in the file, from 0, shape (rows,)."""
    columns: Mapping[str, Values]
    share: float
    """How much of the file has been read, 0 to 1."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.places)

    def only(self, chosen: NDArray[np.intp]) -> "Chunk":
        """Return some of the rows."""
        columns = {
            name: values[chosen]
            if isinstance(values, np.ndarray)
            else [values[at] for at in chosen]
            for name, values in self.columns.items()
        }
        return Chunk(self.places[chosen], columns, self.share)


class Table(Protocol):
    """A file of rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns there are, in their order."""

    def chunks(self) -> Iterator[Chunk]:
        """Read the rows from the first one on.

        Raises:
            DataInvalid: the file is not what it should be; says where.

        """
