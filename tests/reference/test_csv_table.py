"""CSV files: read in chunks, whatever their marks and ends of lines, or refused with the line."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.operator_errors import DataInvalid
from server.reference.csv_table import CsvTable
from server.reference.tables import CHUNK_ROWS


def table(tmp_path: Path, content: str | bytes) -> CsvTable:
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CsvTable(path)


def read(found: CsvTable) -> dict[str, list[Any]]:
    """Return all rows, column by column, and hold the chunks to what they say of themselves."""
    columns: dict[str, list[Any]] = {name: [] for name in found.names}
    rows = 0
    share = 0.0
    for chunk in found.chunks():
        assert chunk.places.tolist() == list(range(rows, rows + chunk.rows))
        assert 0 < chunk.rows <= CHUNK_ROWS
        assert share <= chunk.share <= 1.0
        rows, share = rows + chunk.rows, chunk.share
        for name, values in chunk.columns.items():
            assert len(values) == chunk.rows
            columns[name] += list(values)
    return columns


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x\n2,y\n",
        "a;b\r\n1;x\r\n2;y\r\n",
        "a\tb\n1\tx\n2\ty",
        "\ufeffa,b\n1,x\n\n2,y\n\n",
        ' a ,"b"\n1,"x"\n2,y\n',
    ],
    ids=["comma", "semicolon", "tab", "mark and empty lines", "quotes"],
)
def test_usual_files_are_read(tmp_path: Path, content: str) -> None:
    """Names without blanks, cells as they are."""
    found = table(tmp_path, content)

    assert found.names == ("a", "b")
    assert read(found) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert read(found) == {"a": ["1", "2"], "b": ["x", "y"]}  # Again from the beginning.


def test_cells_may_hold_anything(tmp_path: Path) -> None:
    """Separators, ends of lines, quotes, ten million characters."""
    long = "x" * 10_000_000
    found = table(tmp_path, f'a,b\n"1,\n""2""",{long}\n,é\n')

    assert read(found) == {"a": ['1,\n"2"', ""], "b": [long, "é"]}


@given(st.integers(0, 3 * CHUNK_ROWS))
def test_every_row_is_read_once(tmp_path_factory: pytest.TempPathFactory, rows: int) -> None:
    """Whether chunks are full or not."""
    content = "a\n" + "".join(f"{row}\n" for row in range(rows))

    found = read(table(tmp_path_factory.mktemp("csv"), content))
    assert found == {"a": list(map(str, range(rows)))}


def test_a_large_file_is_not_held(tmp_path: Path) -> None:
    """Memory is that of a chunk."""
    found = table(tmp_path, "a,b\n" + "1.2345678901234567,x\n" * 60_000)
    tracemalloc.start()
    rows = sum(chunk.rows for chunk in found.chunks())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert rows == 60_000
    assert most < 3 << 20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "rows.csv is empty"),
        ("\n1\n", "rows.csv is empty"),
        ("a,a\n1,2\n", "two columns are called 'a'"),
        ("a,b\n1,2\n3\n", "rows.csv, line 3: 1 cells, expected 2"),
        ("a,b\n1,2,3\n", "rows.csv, line 2: 3 cells, expected 2"),
        (b"a,b\n1,\xff\n", "it is not UTF-8"),
        (b"\xff\xfe\n", "it is not UTF-8"),
    ],
    ids=["empty", "no names", "a name twice", "short", "long", "latin-1", "utf-16"],
)
def test_a_broken_file_is_refused_with_the_line(
    tmp_path: Path, content: str | bytes, words: str
) -> None:
    """And with what would help."""
    with pytest.raises(DataInvalid, match=words) as caught:
        read(table(tmp_path, content))

    assert caught.value.fix
