"""NumPy archives: rows of arrays, and nothing that has to be unpickled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.operator_errors import DataInvalid
from server.reference.npz_table import NpzTable
from server.reference.tables import CHUNK_ROWS


def table(tmp_path: Path, **arrays: Any) -> NpzTable:
    path = tmp_path / "rows.npz"
    np.savez(path, **arrays)
    return NpzTable(path)


def test_arrays_are_read_in_chunks(tmp_path: Path) -> None:
    """Numbers of any shape as they are, text as objects."""
    rows = CHUNK_ROWS + 5
    found = table(
        tmp_path,
        x=np.arange(rows * 6, dtype=np.float32).reshape(rows, 2, 3),
        word=np.arange(rows).astype(np.str_),
    )
    chunks = list(found.chunks())

    assert found.names == ("x", "word")
    assert [(chunk.places[0], chunk.rows) for chunk in chunks] == [(0, CHUNK_ROWS), (CHUNK_ROWS, 5)]
    assert [chunk.share for chunk in chunks] == [CHUNK_ROWS / rows, 1.0]
    last = chunks[1].columns
    assert np.asarray(last["x"]).shape == (5, 2, 3)
    assert list(last["word"]) == [str(row) for row in range(CHUNK_ROWS, rows)]


def test_golden_rows_can_be_reference_rows(tmp_path: Path) -> None:
    """Their inputs are columns; their outputs are passed over, for the model is asked anew."""
    found = table(tmp_path, **{"inputs/x": np.zeros((3, 2)), "outputs/y": np.zeros(9)})

    assert found.names == ("x",)


def test_no_rows_are_no_chunks(tmp_path: Path) -> None:
    """Nor are no arrays."""
    assert list(table(tmp_path, x=np.zeros((0, 2))).chunks()) == []
    assert list(table(tmp_path).chunks()) == []


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros(3), "y": np.zeros(4)}, "different numbers of rows"),
        ({"x": np.array(1.0)}, "array 'x' is float64 of shape"),
        ({"x": np.zeros(3, complex)}, "array 'x' is complex128"),
        ({"x": np.zeros(3, "datetime64[s]")}, "array 'x' is datetime64"),
        ({"x": np.array([{}, None])}, "cannot be read: it holds Python objects"),
    ],
)
def test_arrays_that_are_no_columns_are_refused(
    tmp_path: Path, arrays: dict[str, Any], words: str
) -> None:
    """With their name."""
    with pytest.raises(DataInvalid, match=words) as caught:
        table(tmp_path, **arrays)

    assert caught.value.fix


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04" + b"\0" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    """In words, whatever it is."""
    path = tmp_path / "rows.npz"
    path.write_bytes(content)

    with pytest.raises(DataInvalid, match=r"rows\.npz cannot be read"):
        NpzTable(path)


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    """Its rows would have no name."""
    with (tmp_path / "rows.npz").open("wb") as file:
        np.save(file, np.zeros(3))

    with pytest.raises(DataInvalid, match="it holds a single array"):
        NpzTable(tmp_path / "rows.npz")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    """A byte flipped in the middle is found by the archive's own sums."""
    table(tmp_path, x=np.arange(1000))
    content = bytearray((tmp_path / "rows.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "rows.npz").write_bytes(content)

    with pytest.raises(DataInvalid, match="cannot be read"):
        NpzTable(tmp_path / "rows.npz")
