"""Take the numbers and words of columns out of the rows of one tensor.

Decides what each word of `Column.take` means. Small tensors are watched value by value, rows of
probabilities as their largest value and its lead, and large tensors (images, embeddings) as a few
summaries of each row and eight projections of it: sums of all values with random signs, divided by
the root of their number (Achlioptas 2003, J. Comput. Syst. Sci. 66(4)). The signs are the bits of a
hash, not of a random generator, because a profile must mean the same for ever.

NaN goes through: a row that has one is missing in the columns that it spoils. Does not know names,
models or bins.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from server.tensors import Array, bf16_to_fp32

PROJECTIONS = 8
SUMMARIES = ("mean", "std", "min", "max", "norm", "zeros")
PROJECTED = tuple(f"projection:{number}" for number in range(PROJECTIONS))
RANKED = ("top1", "margin")
"""Of a row of probabilities: the largest, and how far it is ahead of the second."""

LABEL = "label"
"""The position of the largest value."""

VALUE = "value:"
_CACHED_SIZES, _CACHED_TAKES = 8, 256


def flat_rows(array: Array, datatype: str) -> Array:
    """Return a tensor as rows of values, shape (rows, items); BF16 bits become float32.

    Raises:
        ValueError: it has no first dimension.

    """
    if not array.ndim:
        raise ValueError("a tensor without dimensions has no rows")
    if array.dtype.names:
        return array  # Reduced where it came from.
    flat = array.reshape(len(array), math.prod(array.shape[1:]))
    return bf16_to_fp32(flat) if datatype == "BF16" else flat


def take_numbers(flat: Array, takes: Sequence[str]) -> Array:
    """Return columns of rows of numbers: (rows, items) in, (rows, takes) out.

    Of any numeric type; a view where the columns are all values in order. Rows may have been
    `reduced` before.

    Raises:
        ValueError: the rows have too few values.

    """
    if flat.dtype.names:
        return _of_reduced(flat, takes)
    places = _places(tuple(takes))
    if places is not None:
        is_all = len(places) == flat.shape[1] and isinstance(places, range)
        return flat if is_all else _values(flat, places)
    columns: dict[str, Array] = {}
    with np.errstate(all="ignore"):  # Infinities and NaN are what is watched for.
        if not set(takes).isdisjoint(RANKED):
            columns |= _ranked(flat)
        floats = _floats(flat)
        if not set(takes).isdisjoint(SUMMARIES):
            columns |= _summaries(floats)
        if not set(takes).isdisjoint(PROJECTED):
            projected = floats @ _signs(floats.shape[1], floats.dtype.name)
            columns |= dict(zip(PROJECTED, projected.T, strict=True))
        for take in takes:
            if take.startswith(VALUE):
                columns[take] = take_numbers(flat, [take])[:, 0]
        return np.stack([columns[take] for take in takes], axis=1)


def reduced(flat: Array, takes: Sequence[str]) -> Array:
    """Return columns of rows as a structured array, shape (rows,), with a field for each take.

    What can be taken of it are those columns only, and they are the same as of the rows.
    """
    columns = np.ascontiguousarray(take_numbers(flat, takes), np.float64)
    return columns.view([(take, np.float64) for take in takes]).reshape(len(flat))


def _of_reduced(rows: Array, takes: Sequence[str]) -> Array:
    if not set(takes) <= set(rows.dtype.names or ()):
        raise ValueError(f"rows that were reduced to {rows.dtype.names} have no {takes}")
    return np.stack([rows[take] for take in takes], axis=1)


def take_words(flat: Array, take: str) -> list[str | None] | Array:
    """Return one column of categories of rows, as `categories.count_words` takes them.

    Raises:
        ValueError: the rows have too few values.

    """
    if flat.dtype.names:
        raise ValueError("rows that were reduced have no words")
    if take != LABEL:
        column = _values(flat, [int(take.removeprefix(VALUE))])[:, 0]
        return [_text(value) for value in column.tolist()] if column.dtype == object else column
    if not flat.shape[1]:
        raise ValueError("rows of no values have no largest one")
    labels = flat.argmax(axis=1)
    is_lost = np.isnan(flat).any(axis=1)
    return np.where(is_lost, np.nan, labels) if is_lost.any() else labels


@lru_cache(_CACHED_TAKES)
def _places(takes: tuple[str, ...]) -> Sequence[int] | None:
    """Return the places of columns that are all values, as a range if they are the first in order.

    It is asked for every record, and takes longer than a record of one row otherwise does.
    """
    if not all(take.startswith(VALUE) for take in takes):
        return None
    places = [int(take.removeprefix(VALUE)) for take in takes]
    first = range(len(places))
    return first if places == list(first) else places


def _text(value: object) -> str | None:
    return value if isinstance(value, str) or value is None else str(value)


def _values(flat: Array, places: Sequence[int]) -> Array:
    if max(places, default=-1) >= flat.shape[1]:
        raise ValueError(f"rows of {flat.shape[1]} values have no value {max(places)}")
    return flat if list(places) == list(range(flat.shape[1])) else flat[:, places]


def _floats(flat: Array) -> Array:
    """Return numbers as floats that hold them: narrow ones as float32, which is twice as fast."""
    is_narrow = flat.dtype == np.float32 or flat.dtype.itemsize < 4
    return flat.astype(np.float32 if is_narrow else np.float64, copy=False)


def _ranked(flat: Array) -> Mapping[str, Array]:
    if flat.shape[1] < 2:
        raise ValueError("rows of fewer than two values have no lead")
    second, first = np.partition(flat.astype(np.float64), -2, axis=1)[:, -2:].T
    return {"top1": first, "margin": first - second}


def _summaries(floats: Array) -> Mapping[str, Array]:
    """Return the summaries of each row; NaN for a row of no values."""
    items = floats.shape[1]
    if not items:
        return dict.fromkeys(SUMMARIES, np.full(len(floats), np.nan))
    mean = floats.mean(axis=1, dtype=np.float64)
    # Deviations from the mean are summed in the floats' own width: that is what costs, and what is
    # far from the mean of a row is not far above its size.
    centred = floats - mean.astype(floats.dtype)[:, np.newaxis]
    variance = np.vecdot(centred, centred).astype(np.float64) / items
    return {
        "mean": mean,
        "std": np.sqrt(variance),
        "min": floats.min(axis=1),
        "max": floats.max(axis=1),
        "norm": np.sqrt(items * (variance + np.square(mean))),
        "zeros": 1.0 - np.count_nonzero(floats, axis=1) / items,
    }


@lru_cache(_CACHED_SIZES)
def _signs(items: int, dtype: str) -> Array:
    """Return the signs of all projections over the root of `items`, shape (items, PROJECTIONS)."""
    needed = -(-items // 8)
    bits = [
        np.unpackbits(
            np.frombuffer(hashlib.shake_256(b"tidegate %d" % number).digest(needed), np.uint8)
        )[:items]
        for number in range(PROJECTIONS)
    ]
    signs = np.stack(bits, axis=1) * 2.0 - 1.0
    return (signs / math.sqrt(max(1, items))).astype(dtype)
