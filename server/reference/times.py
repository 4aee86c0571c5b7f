"""When the rows of a file came: a column of moments, in one of the ways that people write them.

Decides what a moment is: ISO 8601 text (UTC, unless it has an offset), or a number of seconds or of
milliseconds since 1970. Which of both a number is shows in its size: from EARLIEST to LATEST they
do not meet. Anything else is refused with its row: a row without a moment has no hour.
"""

from datetime import UTC, datetime
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from server.operator_errors import DataInvalid
from server.reference.tables import Values
from server.tensors import Array

EARLIEST, LATEST = 1e8, 1e11
"""Seconds: of 1973, and beyond all calendars. Milliseconds of the same time are larger numbers."""

_SHOWN = 40


def seconds_of(values: Values, name: str, places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return moments as seconds since 1970, shape (rows,).

    `name` and `places`, the numbers of the rows from 0, are for errors.

    Raises:
        DataInvalid: a value is no moment.

    """
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _of_numbers(values, name, places)
    texts = values.ravel().tolist() if isinstance(values, np.ndarray) else values
    try:
        numbers = np.array(list(map(float, texts)), np.float64)
    except (TypeError, ValueError):
        return np.array(
            [_of_text(text, name, place) for text, place in zip(texts, places, strict=True)]
        )
    return _of_numbers(numbers, name, places, texts)


def _of_numbers(
    values: Array, name: str, places: NDArray[np.intp], shown: list[str] | None = None
) -> NDArray[np.float64]:
    if values.ndim != 1 or values.dtype == bool:
        what = "booleans" if values.dtype == bool else "lists"
        raise DataInvalid(f"--time '{name[:64]}': {what} are no moments", fix=_FIX)
    numbers = values.astype(np.float64)
    seconds = np.where(np.abs(numbers) >= LATEST, numbers / 1000.0, numbers)
    is_wrong = ~((seconds >= EARLIEST) & (seconds < LATEST))
    if is_wrong.any():
        row = int(np.flatnonzero(is_wrong)[0])
        _refuse(str(values[row]) if shown is None else shown[row], name, int(places[row]))
    return seconds


def _of_text(text: str | None, name: str, place: np.intp) -> float:
    try:
        moment = datetime.fromisoformat((text or "").strip())
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        _refuse(text or "", name, int(place))
    if not EARLIEST <= seconds < LATEST:
        _refuse(text or "", name, int(place))
    return seconds


_FIX = (
    "write moments as 2026-03-01T12:00:00+01:00, or as seconds or milliseconds since 1970, "
    "from 1973 on"
)


def _refuse(text: str, name: str, place: int) -> NoReturn:
    shown = repr(text[:_SHOWN]) if text.strip() else "an empty cell"
    raise DataInvalid(f"row {place + 1}, column '{name[:64]}': {shown} is no moment", fix=_FIX)
