"""Parquet files: with pyarrow they are read, without it they are refused with what to install."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from server.operator_errors import DataInvalid
from server.reference.parquet_table import ParquetTable
from server.reference.tables import CHUNK_ROWS


def table(tmp_path: Path, columns: dict[str, Any], **options: Any) -> ParquetTable:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table(columns), path, **options)
    return ParquetTable(path)


def column(tmp_path: Path, values: Any, kind: Any = None) -> Any:
    """Return one column as it is read."""
    array = pyarrow.array(values, kind) if kind is not None else pyarrow.array(values)
    (chunk,) = table(tmp_path, {"x": array}).chunks()
    return chunk.columns["x"]


def test_rows_are_read_in_chunks(tmp_path: Path) -> None:
    """All of them, in order, again and again, however the file is divided."""
    rows = 2 * CHUNK_ROWS + 10
    found = table(
        tmp_path, {"x": np.arange(rows), "word": ["a"] * rows}, row_group_size=CHUNK_ROWS + 100
    )

    assert found.names == ("x", "word")
    for _ in range(2):
        chunks = list(found.chunks())
        assert sum(chunk.rows for chunk in chunks) == rows
        assert [chunk.places[0] for chunk in chunks] == [
            sum(one.rows for one in chunks[:at]) for at in range(len(chunks))
        ]
        assert np.concatenate([chunk.columns["x"] for chunk in chunks]).tolist() == list(
            range(rows)
        )
        assert chunks[-1].share == 1.0


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1.5, None], pyarrow.float32(), [1.5, np.nan]),
        ([1, 2], pyarrow.int8(), [1, 2]),
        ([1, None], pyarrow.int64(), [1, np.nan]),
        ([True, False], pyarrow.bool_(), [True, False]),
        ([True, None], pyarrow.bool_(), [1.0, np.nan]),
        (["a", None], pyarrow.string(), ["a", None]),
        (["a", "b"], pyarrow.large_string(), ["a", "b"]),
        ([None, None], pyarrow.null(), [None, None]),
        ([[1.0, 2.0], [3.0, 4.0]], pyarrow.list_(pyarrow.float32()), [[1, 2], [3, 4]]),
        ([[1, 2], [3, 4]], pyarrow.list_(pyarrow.int64(), 2), [[1, 2], [3, 4]]),
    ],
)
def test_types_are_columns(tmp_path: Path, values: Any, kind: Any, expected: Any) -> None:
    """Null is NaN in numbers, and None in text."""
    found = column(tmp_path, values, kind)

    if isinstance(expected[0], str) or expected[0] is None:
        assert found.tolist() == expected
    else:
        assert np.array_equal(found, np.array(expected), equal_nan=True)


def test_a_dictionary_is_its_words(tmp_path: Path) -> None:
    """As pandas writes categories."""
    found = column(tmp_path, pyarrow.array(["a", "b", "a", None]).dictionary_encode())

    assert found.tolist() == ["a", "b", "a", None]


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([0], pyarrow.duration("s"), "column 'x' is duration"),
        ([b"a"], pyarrow.binary(), "column 'x' is binary"),
        ([{"a": 1}], pyarrow.struct([("a", pyarrow.int64())]), "column 'x' is struct"),
        ([[1.0], [1.0, 2.0]], pyarrow.list_(pyarrow.float64()), "the lists of column 'x'"),
        ([[1.0], None], pyarrow.list_(pyarrow.float64()), "the lists of column 'x'"),
        ([["a"], ["b"]], pyarrow.list_(pyarrow.string()), "the lists of column 'x'"),
    ],
)
def test_types_that_are_no_columns_are_refused(
    tmp_path: Path, values: Any, kind: Any, words: str
) -> None:
    """With name and type."""
    with pytest.raises(DataInvalid, match=words) as caught:
        column(tmp_path, values, kind)

    assert caught.value.fix


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PAR1" * 10])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    """In words that do not name the place where it lies."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)

    with pytest.raises(DataInvalid, match=r"rows\.parquet cannot be read") as caught:
        ParquetTable(path)
    assert str(tmp_path) not in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    """Where its end is whole and its middle is not."""
    table(tmp_path, {"x": np.random.default_rng(0).standard_normal(10_000)})
    path = tmp_path / "rows.parquet"
    content = bytearray(path.read_bytes())
    content[:2000] = b"\xff" * 2000
    path.write_bytes(content)

    with pytest.raises(DataInvalid, match="cannot be read"):
        list(ParquetTable(path).chunks())


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Parquet allows it, and it would not be clear which one is meant."""
    path = tmp_path / "rows.parquet"
    columns = [pyarrow.array([1]), pyarrow.array([2])]
    parquet.write_table(pyarrow.Table.from_arrays(columns, ["a", "a"]), path)

    with pytest.raises(DataInvalid, match="the same name"):
        ParquetTable(path)


def test_without_pyarrow_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra, because it is larger than everything else together."""
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(DataInvalid, match="needs pyarrow, which is not installed") as caught:
        ParquetTable(path)
    assert "pip install 'tidegate[parquet]'" in caught.value.fix


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pyarrow.timestamp("s"), "2026-01-05T12:30:00.000000"),
        (pyarrow.timestamp("ns"), "2026-01-05T12:30:00.000000"),
        (pyarrow.timestamp("ms", "Europe/Berlin"), "2026-01-05T12:30:00.000000"),
    ],
    ids=str,
)
def test_moments_are_text_of_utc(tmp_path: Path, kind: Any, expected: str) -> None:
    """Of any unit, with a time zone or without; a null is one that nobody can read."""
    moment = datetime(2026, 1, 5, 12, 30, tzinfo=UTC if kind.tz else None)
    assert column(tmp_path, [moment, None], kind).tolist() == [expected, "NaT"]
