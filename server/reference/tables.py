"""Rows of a file as named columns, a chunk at a time: what all kinds of files have in common.

Decides what a reader of files gives. A table can be read again from its beginning. Does not know
models.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from server.tensors import Array

CHUNK_ROWS = 4096

Values = list[str] | Array
"""Cells of text as a file has them, or an array whose first dimension is the rows: numbers,
booleans, or objects that are text or None."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a table."""

    first_row: int
    """How many rows came before."""
    rows: int
    columns: Mapping[str, Values]
    share: float
    """How much of the file has been read, 0 to 1."""


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
