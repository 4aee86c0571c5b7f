"""Which reader a file of reference data gets: by the end of its name."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from server.operator_errors import DataInvalid
from server.reference.csv_table import CsvTable
from server.reference.npz_table import NpzTable
from server.reference.parquet_table import ParquetTable
from server.reference.tables import Table

READERS: Mapping[str, Callable[[Path], Table]] = {
    ".csv": CsvTable,
    ".npz": NpzTable,
    ".parquet": ParquetTable,
}


def open_table(path: Path) -> tuple[Table, str]:
    """Open a file; return its rows and its SHA-256.

    Raises:
        DataInvalid: it cannot be read, or nobody reads such files.

    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataInvalid(
            f"{path.name}: expected a file whose name ends in {', '.join(READERS)}",
            fix="write the rows as CSV with a line of names, as Parquet, or with numpy.savez",
        )
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return reader(path), digest
    except OSError as error:
        raise DataInvalid(
            f"{path.name} cannot be read: {error.strerror or error}",
            fix="name a file that can be read",
        ) from None
