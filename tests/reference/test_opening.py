"""Opening files of rows: by their names, with the digest that a profile notes down."""

import hashlib
from pathlib import Path

import pytest

from server.operator_errors import DataInvalid
from server.reference.opening import open_table
from tests.support.permissions import without_root_rights


def test_a_file_is_known_by_its_name_and_its_digest(tmp_path: Path) -> None:
    """Large letters do not matter."""
    path = tmp_path / "rows.CSV"
    path.write_text("a\n1\n")
    table, digest = open_table(path)

    assert table.names == ("a",)
    assert digest == hashlib.sha256(b"a\n1\n").hexdigest()


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.csv.gz"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    """It is said which ones are read."""
    with pytest.raises(DataInvalid, match=r"ends in \.csv, \.npz, \.parquet"):
        open_table(tmp_path / name)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """Because it is not there, is a folder, or is somebody else's."""
    with pytest.raises(DataInvalid, match=r"rows\.csv cannot be read: No such file"):
        open_table(tmp_path / "rows.csv")
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(DataInvalid, match=r"rows\.csv cannot be read: Is a directory"):
        open_table(tmp_path / "rows.csv")
    (tmp_path / "other.csv").write_text("a\n")
    (tmp_path / "other.csv").chmod(0)
    with (
        without_root_rights(),
        pytest.raises(DataInvalid, match=r"other\.csv cannot be read: Permission denied"),
    ):
        open_table(tmp_path / "other.csv")
