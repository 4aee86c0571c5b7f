"""How the columns of a table become the inputs of a model.

Decides by names: an input whose features are named takes the columns of those names, another one
the column of its own name, or `name[0]`, `name[1]`… for its values; a whole tensor may stand in one
column. A table that lacks a column, or has one more than the model takes, is refused with the
difference: with a wrong column, everything would be compared with the wrong thing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from server.operator_errors import DataInvalid
from server.reference.cells import joined, to_datatype
from server.reference.tables import Chunk, Values
from server.tensors import Array, Signature, TensorSpec

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Matching:
    """Which columns make which input."""

    signature: Signature
    columns: Mapping[str, tuple[str, ...]]
    """By input: the columns of its values, in order."""
    whole: frozenset[str]
    """Inputs that stand in one column as a whole."""

    def tensors(self, chunk: Chunk) -> dict[str, Array]:
        """Return the inputs of some rows.

        Raises:
            DataInvalid: a value is none of the input's datatype, or rows have another shape.

        """
        return {spec.name: self._tensor(spec, chunk) for spec in self.signature.inputs}

    def _tensor(self, spec: TensorSpec, chunk: Chunk) -> Array:
        names = self.columns[spec.name]
        values = [
            to_datatype(chunk.columns[name], spec.datatype, name, chunk.places) for name in names
        ]
        if spec.name in self.whole:
            return _shaped(values[0], spec)
        return joined(values, chunk.rows, spec.shape[1:])


def match(
    signature: Signature,
    features: Mapping[str, Sequence[str]],
    names: Sequence[str],
    others: Collection[str],
) -> Matching:
    """Find the columns of each input among `names`; `others` are there for something else.

    Raises:
        DataInvalid: columns are missing, or there are more of them.

    """
    there, whole, lacking = set(names), set[str](), list[str]()
    columns: dict[str, tuple[str, ...]] = {}
    for spec in signature.inputs:
        wanted = _wanted(spec, features.get(spec.name))
        if not there.issuperset(wanted) or not wanted:
            if spec.name in there:
                columns[spec.name] = (spec.name,)
                whole.add(spec.name)
                continue
            lacking += [name for name in wanted or (spec.name,) if name not in there]
        columns[spec.name] = wanted
    unnamed = [name for name in others if name not in there]
    taken = {name for used in columns.values() for name in used} | set(others)
    extra = [name for name in names if name not in taken]
    if lacking or extra or unnamed:
        raise _different([*unnamed, *lacking], extra)
    return Matching(signature, columns, frozenset(whole))


def _wanted(spec: TensorSpec, features: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of an input's values; none if it has any number of them."""
    if features and len(features) == spec.row_items:
        return tuple(features)
    if spec.row_items == 1:
        return (spec.name,)
    return tuple(f"{spec.name}[{place}]" for place in range(spec.row_items or 0))


def _different(lacking: list[str], extra: list[str]) -> DataInvalid:
    words = []
    if lacking:
        words.append(f"the data lacks {_some(lacking)}")
    if extra:
        words.append(f"{'it' if lacking else 'the data'} has {_some(extra)}, unknown to the model")
    fix = "name the columns as the model's features are named in model.toml"
    if extra:
        fix = "pass over columns with --ignore NAME; name the column of labels with --labels NAME"
    return DataInvalid("; ".join(words), fix=fix)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(f"'{name[:64]}'" for name in names[:_LISTED]) + more


def _shaped(values: Array, spec: TensorSpec) -> Array:
    """Return a whole tensor in the shape of its rows, if it has so many values."""
    trail = spec.shape[1:]
    fits = values.ndim == len(spec.shape) and all(
        wanted in (-1, size) for wanted, size in zip(trail, values.shape[1:], strict=True)
    )
    if fits:
        return np.ascontiguousarray(values)
    items = int(np.prod(values.shape[1:]))
    if items != spec.row_items:
        raise DataInvalid(
            f"'{spec.name[:64]}' has rows of shape {list(values.shape[1:])}, the model takes "
            f"{list(trail)}",
            fix="save the rows as they are sent to the model",
        )
    return np.ascontiguousarray(values).reshape(len(values), *trail)


def label_values(values: Values) -> list[str | None] | Array:
    """Return labels as they are counted; an empty cell is a row without a label."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values
    return [value or None for value in values]
