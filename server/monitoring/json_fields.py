"""Read the fields of a JSON object that somebody else wrote, and say what is wrong with them.

Decides how a wrong field is named: where it is, what was expected and what came. Values come back
checked: no number is infinite or out of bounds, no list longer than told, no field is left unread.

Does not know what the fields are for.
"""

from collections.abc import Sequence
from itertools import chain
from math import inf, isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.operator_errors import ProfileInvalid

MAX_TEXT = 1024
MAX_COUNT = 2**53
"""Up to here whole numbers survive every reader of JSON; the sum of 1,024 of them fits int64."""

_SHOWN = 40


class Fields:
    """One JSON object, of which every field has to be read."""

    def __init__(self, value: object, where: str) -> None:
        """Begin to read `value`, which is called `where` in errors."""
        self.where = where
        if not isinstance(value, dict):
            raise ProfileInvalid(f"{where or 'it'}: expected an object, got {shown(value)}")
        self._left: dict[str, Any] = dict(value)

    def take(self, name: str) -> Any:
        """Return a field, which must be there, as it is."""
        if name not in self._left:
            raise ProfileInvalid(f"{self._at(name)}: it is missing")
        return self._left.pop(name)

    def done(self) -> None:
        """Refuse fields that nobody has read."""
        for name in self._left:
            raise ProfileInvalid(f"{self._at(shown(name))}: no such field is known")

    def text(self, name: str, allowed: Sequence[str] = ()) -> str:
        """Return a short text, one of those allowed if there are any."""
        value = self.take(name)
        if allowed and value not in allowed:
            self._refuse(name, f"one of {', '.join(allowed)}", value)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            self._refuse(name, f"a text of at most {MAX_TEXT} characters", value)
        return str(value)

    def flag(self, name: str) -> bool:
        """Return true or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            self._refuse(name, "true or false", value)
        return bool(value)

    def count(self, name: str) -> int:
        """Return a whole number from 0 to MAX_COUNT."""
        value = self.take(name)
        if not _is_count(value):
            self._refuse(name, "a whole number from 0", value)
        return int(value)

    def optional_count(self, name: str) -> int | None:
        """Return a whole number from 0, or None."""
        return self.count(name) if self._has(name) else None

    def number(self, name: str, least: float = -inf, most: float = inf) -> float:
        """Return a finite number within bounds."""
        value = self.take(name)
        if not _is_number(value, least, most):
            self._refuse(name, _within(least, most), value)
        return float(value)

    def optional_number(self, name: str, least: float = -inf, most: float = inf) -> float | None:
        """Return a finite number within bounds, or None."""
        return self.number(name, least, most) if self._has(name) else None

    def counts(self, name: str, length: int) -> NDArray[np.int64]:
        """Return `length` whole numbers from 0, shape (length,)."""
        values = self._list(name, length)
        for place, value in enumerate(values):
            if not _is_count(value):
                self._refuse(f"{name}[{place}]", "a whole number from 0", value)
        return np.array(values, np.int64)

    def numbers(self, name: str, max_length: int, least: float = -inf) -> list[float]:
        """Return at most `max_length` finite numbers."""
        values = self.take(name)
        if not isinstance(values, list) or len(values) > max_length:
            self._refuse(name, f"a list of at most {max_length} numbers", values)
        for place, value in enumerate(values):
            if not _is_number(value, least, inf):
                self._refuse(f"{name}[{place}]", _within(least, inf), value)
        return list(map(float, values))

    def member(self, name: str) -> "Fields":
        """Return a field that is an object itself."""
        return Fields(self.take(name), self._at(name))

    def optional_member(self, name: str) -> "Fields | None":
        """Return a field that is an object itself, or None."""
        return self.member(name) if self._has(name) else None

    def members(self, name: str, max_length: int) -> list["Fields"]:
        """Return a field that is a list of at most `max_length` objects."""
        values = self.take(name)
        if not isinstance(values, list) or len(values) > max_length:
            self._refuse(name, f"a list of at most {max_length} objects", values)
        return [Fields(value, self._at(f"{name}[{place}]")) for place, value in enumerate(values)]

    def tables(self, name: str, rows: int, widths: Sequence[int]) -> list[NDArray[np.int64]]:
        """Return a table of whole numbers for each of `widths`, shape (rows, width).

        A row that is empty is one of zeros. There may be a million numbers, so they are looked at
        together.
        """
        tables = self.take(name)
        if not isinstance(tables, list) or len(tables) != len(widths):
            self._refuse(name, f"a list of {len(widths)} lists", tables)
        return [
            self._table(f"{name}[{place}]", table, rows, width)
            for place, (table, width) in enumerate(zip(tables, widths, strict=True))
        ]

    def _table(self, name: str, value: object, rows: int, width: int) -> NDArray[np.int64]:
        lines = value if isinstance(value, list) and len(value) == rows else []
        filled = [line or [0] * width for line in lines if isinstance(line, list)]
        flat = list(chain.from_iterable(filled))
        is_right = len(filled) == rows and all(len(line) == width for line in filled)
        if not is_right or set(map(type, flat)) != {int} or min(flat) < 0 or max(flat) > MAX_COUNT:
            self._refuse(name, f"{rows} lists, empty or of {width} whole numbers from 0", value)
        return np.array(flat, np.int64).reshape(rows, width)

    def has(self, name: str) -> bool:
        """Whether a field is there that need not be."""
        return name in self._left

    def _list(self, name: str, length: int) -> list[Any]:
        values = self.take(name)
        if not isinstance(values, list) or len(values) != length:
            self._refuse(name, f"a list of {length} whole numbers", values)
        return list(values)

    def _has(self, name: str) -> bool:
        """Whether a field has a value; one that is null is read by this."""
        if self._left.get(name, self) is None:
            del self._left[name]
            return False
        return True

    def _at(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _refuse(self, name: str, expected: str, value: object) -> None:
        raise ProfileInvalid(f"{self._at(name)}: expected {expected}, got {shown(value)}")


def shown(value: object) -> str:
    """Return what came in a few words."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value[:_SHOWN]) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN + 2 else f"{text[:_SHOWN]}…"


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_number(value: object, least: float, most: float) -> bool:
    if type(value) is int and abs(value) <= MAX_COUNT:
        return least <= value <= most
    return type(value) is float and isfinite(value) and least <= value <= most


def _within(least: float, most: float) -> str:
    words = "a number"
    if isfinite(least):
        words += f" from {least:g}"
    return f"{words} to {most:g}" if isfinite(most) else words
