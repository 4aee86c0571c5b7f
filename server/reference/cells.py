"""Cells of a file as values of a tensor's datatype.

Decides which words are missing values, and that nothing is lost on the way: no fraction becomes an
integer, no number becomes text, no integer grows out of its type. What a float is too small for
becomes infinite, as it would in the model.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from server.operator_errors import DataInvalid
from server.reference.tables import Values
from server.tensors import Array, Datatype, fp32_to_bf16

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""In columns of numbers; in any case of letters."""

Places = NDArray[np.intp]

_TRUTH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_SHOWN = 40


def to_datatype(values: Values, datatype: Datatype, name: str, places: Places) -> Array:
    """Return values in a datatype, of the same shape; BF16 as its bits, text as objects.

    `name` and `places`, the numbers of the rows from 0, are for errors.

    Raises:
        DataInvalid: a value is none of the datatype.

    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _from_numbers(values, datatype, name, places)
    if datatype.is_text:
        return _text(values)
    if isinstance(values, np.ndarray) and any(isinstance(value, str) for value in values.flat):
        _refuse(name, datatype, "is a column of text", "is the column retyped?")
    cells = ["" if value is None else value for value in values]
    if datatype.name == "BOOL":
        return np.array([_truth(cell, name, places[at]) for at, cell in enumerate(cells)], bool)
    if datatype.is_float:
        return _as_float(np.array(_floats(cells, name, datatype, places), np.float64), datatype)
    whole = [_integer(cell, name, datatype, places[at]) for at, cell in enumerate(cells)]
    return np.array(whole, datatype.numpy)


def _text(values: Values) -> Array:
    """Return text; a model has no null, and gets an empty text."""
    flat = values.ravel() if isinstance(values, np.ndarray) else values
    array = np.empty(len(flat), object)
    array[:] = ["" if value is None else value for value in flat]
    return array.reshape(values.shape) if isinstance(values, np.ndarray) else array


def _from_numbers(values: Array, datatype: Datatype, name: str, places: Places) -> Array:
    if datatype.is_text:
        _refuse(name, datatype, f"is a column of {values.dtype}", "write its values as text")
    if datatype.is_float:
        return _as_float(values, datatype)
    wanted = datatype.numpy
    with np.errstate(invalid="ignore"):
        cast = values.astype(wanted)
        is_same = cast == values
    if not is_same.all():
        row = int(np.argwhere(~is_same)[0][0])
        value = values[row].flat[0] if values.ndim > 1 else values[row]
        _refuse_cell(name, datatype, places[row], str(value))
    return cast


def _as_float(values: Array, datatype: Datatype) -> Array:
    with np.errstate(over="ignore"):
        if datatype.name == "BF16":
            return fp32_to_bf16(values.astype(np.float32))
        return values.astype(datatype.numpy)


def _floats(cells: list[str], name: str, datatype: Datatype, places: Places) -> list[float]:
    try:
        return list(map(float, cells))  # Usually all are numbers, and then this is all.
    except ValueError:
        return [_float(cell, name, datatype, places[at]) for at, cell in enumerate(cells)]


def _float(cell: str, name: str, datatype: Datatype, row: np.intp) -> float:
    try:
        return float(cell)
    except ValueError:
        if cell.strip().lower() in MISSING_WORDS:
            return float("nan")
        _refuse_cell(name, datatype, row, cell)


def _integer(cell: str, name: str, datatype: Datatype, row: np.intp) -> int:
    limits = np.iinfo(datatype.numpy)
    try:
        value = int(cell) if cell.strip().lstrip("+-").isdecimal() else float(cell)
    except ValueError:
        value = 0.5
    if value != value or value in (np.inf, -np.inf) or value != int(value):
        _refuse_cell(name, datatype, row, cell)
    if not limits.min <= value <= limits.max:
        _refuse_cell(name, datatype, row, cell)
    return int(value)


def _truth(cell: Any, name: str, row: np.intp) -> bool:
    if isinstance(cell, bool):
        return cell
    value = _TRUTH.get(cell.strip().lower())
    if value is None:
        what = _shown(cell)
        raise DataInvalid(
            f"row {row + 1}, column '{name[:64]}': {what} is no BOOL",
            fix="write true or false, 1 or 0",
        )
    return value


def _shown(cell: str) -> str:
    return "an empty cell" if not cell.strip() else repr(cell[:_SHOWN])


def _refuse_cell(name: str, datatype: Datatype, row: np.intp, cell: str) -> NoReturn:
    raise DataInvalid(
        f"row {row + 1}, column '{name[:64]}': {_shown(cell)} is no {datatype.name}",
        fix="leave out rows that the model cannot be asked about"
        if not datatype.is_float
        else "write numbers, or nothing where a value is missing",
    )


def _refuse(name: str, datatype: Datatype, what: str, fix: str) -> NoReturn:
    raise DataInvalid(f"column '{name[:64]}' {what}, and the model takes {datatype.name}", fix=fix)


def joined(columns: Sequence[Array], rows: int, trail: tuple[int, ...]) -> Array:
    """Return columns, each of shape (rows,), as rows of a tensor, shape (rows, *trail)."""
    return np.ascontiguousarray(np.stack(columns, axis=1)).reshape(rows, *trail)
