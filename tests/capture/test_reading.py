"""Captured files are found, held apart by version, and read back."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from server.capture.columns import CapturePlan
from server.capture.reading import find
from server.capture.writer import CaptureWriter
from server.operator_errors import DataInvalid
from tests.support import captured
from tests.support.captured import plan, taken


def write(folder: Path, *plans: CapturePlan) -> None:
    """Write a file of 6 rows of each plan."""
    for number, of in enumerate(plans):
        files = CaptureWriter(folder, 1 << 30)
        files.write([taken(of, captured.records_of(seed=number))])
        files.close()


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    """All rows of all files of the version, as records of whole requests."""
    write(tmp_path, plan(), plan())
    found = find([tmp_path], "m", None)
    records = list(found.records(3))

    assert found.rows == 12
    assert [one.request_rows.tolist() for one in records] == [[1, 2], [3]] * 2
    given = [captured.records_of(seed=seed).inputs[0].array for seed in (0, 1)]
    np.testing.assert_array_equal(
        np.concatenate([one.inputs[0].array for one in records]), np.concatenate(given)
    )


def test_one_version_is_chosen(tmp_path: Path) -> None:
    """By number, or by the folder or the file that is named; other models are passed over."""
    write(tmp_path, plan(), plan(version="2", digest="e" * 64), plan(model="other"))

    assert find([tmp_path], "m", "2").plan.version == "2"
    assert find([tmp_path / "m" / "1-d1d1d1d1d1d1"], "m", None).plan.version == "1"
    file = next((tmp_path / "other").rglob("*.parquet"))
    assert find([file], "other", None).rows == 6
    with pytest.raises(
        DataInvalid, match=r"several versions: 1 \(d1d1d1d1d1d1\), 2 \(eeeeeeeeeeee\)"
    ):
        find([tmp_path], "m", None)


def test_rows_that_are_not_there_are_told(tmp_path: Path) -> None:
    """No such model, version or folder."""
    write(tmp_path, plan())

    for model, version in (("m", "3"), ("n", None)):
        with pytest.raises(DataInvalid, match=f"no rows of model '{model}'"):
            find([tmp_path], model, version)
    with pytest.raises(DataInvalid, match=r"gone\.parquet cannot be read"):
        find([tmp_path / "gone.parquet"], "m", None)


def test_files_that_leave_out_different_things_are_not_mixed(tmp_path: Path) -> None:
    """What can be replayed would change half-way."""
    write(tmp_path, plan(), plan(redacted={"x": [0]}))

    with pytest.raises(DataInvalid, match="not the same in all files"):
        find([tmp_path], "m", None)


def test_strange_files_are_told(tmp_path: Path) -> None:
    """Parquet of others, damaged files, and those whose damage shows when rows are read."""
    strange, damaged = tmp_path / "strange.parquet", tmp_path / "damaged.parquet"
    pq.write_table(pa.table({"a": [1]}), strange)
    damaged.write_bytes(b"PAR1")
    with pytest.raises(DataInvalid, match=r"strange\.parquet is no file of captured rows"):
        find([strange], "m", None)
    with pytest.raises(DataInvalid, match=r"damaged\.parquet cannot be read"):
        find([damaged], "m", None)

    write(tmp_path / "good", plan())
    (file,) = (tmp_path / "good").rglob("*.parquet")
    content = bytearray(file.read_bytes())
    content[4:400] = bytes(396)
    file.write_bytes(content)
    found = find([file], "m", None)
    with pytest.raises(DataInvalid, match="cannot be read"):
        list(found.records(3))
