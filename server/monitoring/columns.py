"""Which columns a model's tensors are watched as: decided once from its signature.

Decides names, kinds and where each column comes from, for inputs and outputs alike:

* a value of a small tensor, or of one whose features are named, is a column of its own;
* an output of one whole number or text a row is a label, and so a category;
* an output whose rows are probabilities is its largest one, its lead, for two classes the score of
  the second, and its label where no other output is one;
* a larger tensor is a few summaries and projections of each row (`taking.py`);
* text of many or of any number of values a row is not watched, nor is a tensor without rows.

That rows are probabilities is not in a signature. It is seen in reference data by
`probability_outputs`, and told to `layout_of` among `kinds`. The same layout makes columns of
reference data and of live records, so both are counted by one convention.

Does not know bins, counts or profiles.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from types import MappingProxyType

import numpy as np

from server.monitoring.taking import (
    LABEL,
    PROJECTED,
    RANKED,
    SUMMARIES,
    VALUE,
    flat_rows,
    take_numbers,
    take_words,
)
from server.statistics.bins import FloatType
from server.tensors import DATATYPES, Array, Signature, TensorSpec

MAX_VALUES = 64
"""Values a row of a tensor without named features that are columns of their own."""

MAX_NAMED_VALUES = 2048
"""The same of one with named features."""

_SUM_ERROR = 0.01
"""How far probabilities of a row may be off 1 together, as those in half precision are."""

_WIDE = frozenset({"FP64", "INT32", "INT64", "UINT32", "UINT64"})
"""Datatypes whose values float32 does not hold."""


class Kind(StrEnum):
    """What the values of a column are."""

    NUMBER = "number"
    INTEGER = "integer"
    PROBABILITY = "probability"
    CATEGORY = "category"
    BOOLEAN = "boolean"

    @property
    def is_number(self) -> bool:
        """Whether it is counted in bins, not by word."""
        return self not in (Kind.CATEGORY, Kind.BOOLEAN)


class Side(StrEnum):
    """Which way a tensor goes."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is called, and how it comes from a tensor."""

    name: str
    """Unique in a layout. A feature's name, or made of the tensor's, such as `pixels[3]`."""
    kind: Kind
    side: Side
    tensor: str
    datatype: str
    """The protocol's word for the tensor's type, such as FP32."""
    take: str
    """`value:3` of the row, or a word of `taking.py`."""

    @property
    def origin(self) -> tuple[Side, str, str]:
        """Where it comes from, which tells it from all others whatever it is called."""
        return self.side, self.tensor, self.take


@dataclass(frozen=True, slots=True)
class Blocks:
    """The rows of some batches as the columns of one side."""

    rows: int
    numbers: Array
    """Shape (rows, numeric columns), of the group's type."""
    words: list[list[str | None] | Array]
    """Values of each category and boolean column, as `categories.count_words` takes them."""


@dataclass(frozen=True, slots=True)
class Group:
    """The columns of one side, which are there or missing together."""

    numbers: tuple[Column, ...]
    """Counted as one block."""
    words: tuple[Column, ...]
    dtype: FloatType = field(init=False, compare=False)
    """Of the block: float32 unless a numeric column holds more than that."""
    _takes: tuple[tuple[str, str, tuple[str, ...]], ...] = field(
        init=False, compare=False, repr=False
    )
    _tensors: tuple[tuple[str, str], ...] = field(init=False, compare=False, repr=False)
    """Names and datatypes, each tensor once."""

    def __post_init__(self) -> None:
        is_wide = any(column.datatype in _WIDE for column in self.numbers)
        takes = tuple(
            (tensor, datatype, tuple(column.take for column in columns))
            for (tensor, datatype), columns in groupby(
                self.numbers, lambda column: (column.tensor, column.datatype)
            )
        )
        object.__setattr__(self, "dtype", "float64" if is_wide else "float32")
        object.__setattr__(self, "_takes", takes)
        tensors = {column.tensor: column.datatype for column in self.columns}
        object.__setattr__(self, "_tensors", tuple(tensors.items()))

    @property
    def columns(self) -> tuple[Column, ...]:
        """All of them, numbers first."""
        return self.numbers + self.words

    def blocks(self, tensors: Mapping[str, Array]) -> Blocks:
        """Make columns of tensors by name, whose first dimension is the rows; others may be there.

        Raises:
            ValueError: a tensor is missing, or does not have the rows or the values it should.

        """
        if not self.columns:
            return Blocks(0, np.empty((0, 0), self.dtype), [])
        flat = {
            name: flat_rows(_found(tensors, name), datatype) for name, datatype in self._tensors
        }
        rows = {name: len(array) for name, array in flat.items()}
        if len(set(rows.values())) > 1:
            raise ValueError(f"tensors have different numbers of rows: {rows}")
        (count,) = set(rows.values())
        with np.errstate(over="ignore"):
            parts = [
                take_numbers(flat[tensor], takes).astype(self.dtype, copy=False)
                for tensor, _, takes in self._takes
            ]
        words = [take_words(flat[column.tensor], column.take) for column in self.words]
        return Blocks(count, _beside(parts, count, self.dtype), words)


def _found(tensors: Mapping[str, Array], name: str) -> Array:
    if name not in tensors:
        raise ValueError(f"tensor '{name}' is missing")
    return tensors[name]


def _beside(parts: Sequence[Array], rows: int, dtype: FloatType) -> Array:
    """Return the columns of all parts beside each other; the part itself if there is one."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty((rows, 0), dtype), *parts], axis=1)


@dataclass(frozen=True, slots=True)
class Layout:
    """All columns of a model."""

    inputs: Group
    outputs: Group

    @classmethod
    def of(cls, columns: Iterable[Column]) -> "Layout":
        """Put columns together, in their order."""
        listed = tuple(columns)

        def group(side: Side) -> Group:
            of_side = [column for column in listed if column.side is side]
            return Group(
                tuple(column for column in of_side if column.kind.is_number),
                tuple(column for column in of_side if not column.kind.is_number),
            )

        return cls(group(Side.INPUT), group(Side.OUTPUT))

    @property
    def groups(self) -> tuple[Group, Group]:
        """Inputs and outputs."""
        return self.inputs, self.outputs

    @property
    def columns(self) -> tuple[Column, ...]:
        """Inputs, then outputs; of each, numbers first."""
        return self.inputs.columns + self.outputs.columns

    @property
    def kinds(self) -> dict[str, Kind]:
        """What `layout_of` has to be told to make these columns again."""
        kinds = {column.name: column.kind for column in self.columns}
        return kinds | {
            column.tensor: Kind.PROBABILITY for column in self.columns if column.take in RANKED
        }


def layout_of(
    signature: Signature,
    features: Mapping[str, Sequence[str]],
    kinds: Mapping[str, Kind] = MappingProxyType({}),
) -> Layout:
    """Decide the columns of a model.

    `features` names the values of inputs, by input. `kinds` says what is not in the signature: of
    a column by its name, or that the rows of an output are probabilities by the output's name.
    Names that nobody goes by are ignored.

    Raises:
        ValueError: a column of text is said to be of numbers.

    """
    columns: list[Column] = []
    for spec in signature.inputs:
        columns += _columns(spec, Side.INPUT, features.get(spec.name))
    has_label = any(_is_label(spec) for spec in signature.outputs)
    for spec in signature.outputs:
        is_split = (spec.row_items or 0) >= 2 and kinds.get(spec.name) is Kind.PROBABILITY
        if is_split and spec.datatype.is_float:
            columns += _probability_columns(spec, has_label=has_label)
        else:
            columns += _columns(spec, Side.OUTPUT, None)
    return Layout.of(_with_kind(column, kinds) for column in _unique(columns))


def probability_outputs(signature: Signature, outputs: Mapping[str, Array]) -> dict[str, Kind]:
    """Find the outputs whose rows are probabilities of two or more classes, from some rows.

    They are if the rows that are finite, at least one, add up to 1 and have nothing below 0.
    """
    found = {}
    for spec in signature.outputs:
        if (spec.row_items or 0) < 2 or not spec.datatype.is_float or spec.name not in outputs:
            continue
        flat = flat_rows(outputs[spec.name], spec.datatype.name)
        if flat.dtype.names:
            continue  # Rows that were reduced are known by summaries only.
        rows = flat.astype(np.float64)
        rows = rows[np.isfinite(rows).all(axis=1)]
        if not len(rows) or rows.shape[1] < 2:
            continue
        if rows.min() >= -_SUM_ERROR and np.abs(rows.sum(axis=1) - 1.0).max() <= _SUM_ERROR:
            found[spec.name] = Kind.PROBABILITY
    return found


def _is_label(spec: TensorSpec) -> bool:
    return bool(spec.shape) and spec.row_items == 1 and not spec.datatype.is_float


def _columns(spec: TensorSpec, side: Side, names: Sequence[str] | None) -> Iterator[Column]:
    """Yield the columns of a tensor that is not known to be probabilities."""

    def column(name: str, take: str, kind: Kind) -> Column:
        return Column(name, kind, side, spec.name, spec.datatype.name, take)

    items = spec.row_items
    if not spec.shape or items == 0:
        return
    if items is None or items > (MAX_NAMED_VALUES if names else MAX_VALUES):
        for take in summaries_of(spec):
            yield column(f"{spec.name}.{take.replace(':', '')}", take, Kind.NUMBER)
        return
    has_names = len(names or ()) == items
    for place in range(items):
        name = spec.name if items == 1 else f"{spec.name}[{place}]"
        name = names[place] if names and has_names else name
        yield column(name, f"{VALUE}{place}", _natural_kind(spec, side))


def summaries_of(spec: TensorSpec) -> tuple[str, ...]:
    """Return what a large tensor is watched as; the values of one of open size have no places."""
    if spec.datatype.is_text:
        return ()
    return SUMMARIES if spec.row_items is None else SUMMARIES + PROJECTED


def _probability_columns(spec: TensorSpec, *, has_label: bool) -> Iterator[Column]:
    """Yield the columns of rows of probabilities."""
    takes = [*((take, take) for take in RANKED)]
    if spec.row_items == 2:
        takes.append(("score", f"{VALUE}1"))
    if not has_label:
        takes.append((LABEL, LABEL))
    for word, take in takes:
        kind = Kind.CATEGORY if take == LABEL else Kind.PROBABILITY
        yield Column(f"{spec.name}.{word}", kind, Side.OUTPUT, spec.name, spec.datatype.name, take)


def _natural_kind(spec: TensorSpec, side: Side) -> Kind:
    if spec.datatype.is_text:
        return Kind.CATEGORY
    if spec.datatype.name == "BOOL":
        return Kind.BOOLEAN
    if spec.datatype.is_float:
        return Kind.NUMBER
    return Kind.CATEGORY if side is Side.OUTPUT and _is_label(spec) else Kind.INTEGER


def _with_kind(column: Column, kinds: Mapping[str, Kind]) -> Column:
    kind = kinds.get(column.name)
    if kind is None or not column.take.startswith(VALUE):
        return column
    if kind.is_number and DATATYPES[column.datatype].is_text:
        raise ValueError(f"column '{column.name}' is text, and cannot be of kind {kind.value}")
    return replace(column, kind=kind)


def _unique(columns: Sequence[Column]) -> Iterator[Column]:
    """Yield columns, each with a name that none before it has."""
    taken: set[str] = set()
    for column in columns:
        name = column.name
        for longer in (f"{column.tensor}.{name}", f"{column.side}.{column.tensor}.{name}"):
            name = longer if name in taken else name
        while name in taken:
            name += "'"
        taken.add(name)
        yield replace(column, name=name)
