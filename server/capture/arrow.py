"""Captured rows as Arrow tables: schema, columns, and tensors again.

Decides which Arrow type a datatype is. BF16, which Arrow does not have, is stored as the float32
that holds it exactly. Where values are left out there is null. The schema's metadata holds the
plan under the key `tidegate`, so that a file explains itself. Does not know files.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from server.capture.columns import (
    IS_PINNED,
    MODEL_VERSION,
    PREDICTION_ID,
    ROW,
    TIME,
    CapturePlan,
    Form,
    TensorColumns,
)
from server.capture.rows import RowColumns, records_of, request_starts, row_columns
from server.tensors import Array, Datatype, bf16_to_fp32, fp32_to_bf16
from server.wire.record import BatchRecords, NamedTensor

METADATA_KEY = b"tidegate"

_TYPES: Mapping[str, Any] = MappingProxyType(
    {
        "BOOL": pa.bool_(),
        "UINT8": pa.uint8(),
        "UINT16": pa.uint16(),
        "UINT32": pa.uint32(),
        "UINT64": pa.uint64(),
        "INT8": pa.int8(),
        "INT16": pa.int16(),
        "INT32": pa.int32(),
        "INT64": pa.int64(),
        "FP16": pa.float16(),
        "FP32": pa.float32(),
        "FP64": pa.float64(),
        "BF16": pa.float32(),
        "BYTES": pa.string(),
    }
)
_OWN_FIELDS = (
    pa.field(TIME, pa.timestamp("us", "UTC"), nullable=False),
    pa.field(PREDICTION_ID, pa.string(), nullable=False),
    pa.field(ROW, pa.int32(), nullable=False),
    pa.field(IS_PINNED, pa.bool_(), nullable=False),
    pa.field(MODEL_VERSION, pa.string(), nullable=False),
)


class WrongShape(Exception):
    """A tensor does not have the rows that the signature declares."""


def schema_of(plan: CapturePlan) -> Any:
    """Return the schema of a plan's files."""
    fields = [*_OWN_FIELDS]
    for columns in (*plan.inputs, *plan.outputs):
        types = _types(columns)
        fields += [pa.field(name, kind) for name, kind in zip(columns.names, types, strict=True)]
    return pa.schema(fields, metadata={METADATA_KEY: orjson.dumps(plan.to_json())})


def plan_of(schema: Any) -> CapturePlan:
    """Return the plan of a file's schema.

    Raises:
        KeyError, TypeError, ValueError: it is not a file of captured rows.

    """
    return CapturePlan.from_json(orjson.loads((schema.metadata or {})[METADATA_KEY]))


def batch_of(plan: CapturePlan, schema: Any, records: BatchRecords) -> Any:
    """Return the rows of a record as an Arrow record batch.

    Raises:
        WrongShape: a tensor is not what the signature declares, or is missing.

    """
    rows = records.rows
    whose = row_columns(records)
    arrays = [
        pa.array(whose.at_us, pa.timestamp("us", "UTC")),
        pa.array(whose.prediction_ids, pa.string()),
        pa.array(whose.row),
        pa.array(whose.is_pinned),
        pa.array([records.version], pa.string()).take(pa.array(np.zeros(rows, np.int32))),
    ]
    for tensors, side in ((records.inputs, plan.inputs), (records.outputs, plan.outputs)):
        given = {tensor.name: tensor.array for tensor in tensors}
        for columns in side:
            arrays += _arrays(columns, given.get(columns.spec.name), rows)
    return pa.record_batch(arrays, schema=schema)


def _types(columns: TensorColumns) -> list[Any]:
    kind = _TYPES[columns.spec.datatype.name]
    match columns.form:
        case Form.FLAT:
            return [kind] * len(columns.names)
        case Form.FIXED:
            return [pa.list_(kind, columns.spec.row_items)]
        case _:
            return [pa.list_(kind), pa.list_(pa.int32())]


def _arrays(columns: TensorColumns, array: Array | None, rows: int) -> Iterator[Any]:
    """Yield the Arrow arrays of a tensor's columns."""
    spec, types = columns.spec, _types(columns)
    is_fixed = columns.form is not Form.VARYING
    if array is None or not array.ndim or len(array) != rows:
        raise WrongShape(f"'{spec.name}' has no {rows} rows")
    if is_fixed and array.shape[1:] != spec.shape[1:]:
        raise WrongShape(f"'{spec.name}' has rows of {list(array.shape[1:])}")
    if columns.is_redacted:
        yield from (pa.nulls(rows, kind) for kind in types)
        return
    items = math.prod(array.shape[1:])
    flat = array.reshape(rows, items)
    if spec.datatype.name == "BF16":
        flat = bf16_to_fp32(flat)
    if columns.form is Form.FLAT:
        by_value = np.ascontiguousarray(flat.T)
        for place, kind in enumerate(types):
            is_shown = place not in columns.redacted
            yield _values(by_value[place], kind) if is_shown else pa.nulls(rows, kind)
        return
    values = _values(flat.reshape(-1), types[0].value_type, _hidden(columns, rows, items))
    if is_fixed:
        yield pa.FixedSizeListArray.from_arrays(values, type=types[0])
        return
    yield pa.ListArray.from_arrays(_offsets(rows, items), values)
    shape = np.tile(np.array(array.shape[1:], np.int32), rows)
    yield pa.ListArray.from_arrays(_offsets(rows, array.ndim - 1), pa.array(shape, pa.int32()))


def _hidden(columns: TensorColumns, rows: int, items: int) -> Array | None:
    """Return which values of lists are left out; None if none is."""
    if not columns.redacted:
        return None
    is_hidden = np.zeros(items, bool)
    is_hidden[list(columns.redacted)] = True
    return np.tile(is_hidden, rows)


def _values(values: Array, kind: Any, is_hidden: Array | None = None) -> Any:
    if values.dtype == object:
        values = values.copy()
        if is_hidden is not None:
            values[is_hidden] = None
        return pa.array(values.tolist(), kind)
    # Views of a message lie where they lie.
    return pa.array(np.require(values, None, ["C", "A"]), kind, mask=is_hidden)


def _offsets(rows: int, items: int) -> Any:
    return pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(items))


# And back.


def pieces(plan: CapturePlan, table: Any, rows: int) -> Iterator[BatchRecords]:
    """Yield the rows of a table as records of whole requests: the fewest that have so many rows.

    All rows of a record have the same shapes. Tensors of which something is left out are not there.
    """
    whose = _whose(table)
    may_cut = request_starts(whose)
    must_cut = _shape_changes(plan, table)
    first = 0
    for at in np.flatnonzero(may_cut[1:]).tolist():
        end = at + 1
        if end - first >= rows or must_cut[end]:
            yield _record(plan, table.slice(first, end - first))
            first = end
    if table.num_rows:
        yield _record(plan, table.slice(first))


def _record(plan: CapturePlan, table: Any) -> BatchRecords:
    names = (plan.model, plan.version, plan.digest)
    return records_of(
        names, _whose(table), _tensors(plan.inputs, table), _tensors(plan.outputs, table)
    )


def _whose(table: Any) -> RowColumns:
    return RowColumns(
        table.column(TIME).cast(pa.int64()).to_numpy(),
        np.array(table.column(PREDICTION_ID).to_pylist(), object),
        table.column(ROW).to_numpy(),
        table.column(IS_PINNED).to_numpy(),
    )


def _shape_changes(plan: CapturePlan, table: Any) -> Array:
    """Say of each row whether a tensor has another shape in it than in the row before."""
    changes = np.zeros(table.num_rows, bool)
    for columns in (*plan.inputs, *plan.outputs):
        if columns.form is Form.VARYING:
            shapes = table.column(columns.names[1]).to_pylist()
            changes[1:] |= [one != other for one, other in pairwise(shapes)]
    return changes


def _tensors(side: Sequence[TensorColumns], table: Any) -> list[NamedTensor]:
    """Return the tensors of one side whose values are all there."""
    return [
        NamedTensor(columns.spec.name, columns.spec.datatype.name, _tensor(columns, table))
        for columns in side
        if not (columns.is_redacted or columns.redacted)
    ]


def _tensor(columns: TensorColumns, table: Any) -> Array:
    spec = columns.spec
    arrays = [table.column(name).combine_chunks() for name in columns.names]
    shape = spec.shape[1:]
    if columns.form is Form.FLAT:
        values = np.stack([_numbers(one, spec.datatype) for one in arrays], axis=1)
    else:
        values = _numbers(arrays[0].flatten(), spec.datatype)
        if columns.form is Form.VARYING:
            shape = tuple(arrays[1][0].as_py())
    return values.reshape(table.num_rows, *shape)


def _numbers(array: Any, datatype: Datatype) -> Array:
    if datatype.is_text:
        texts = np.empty(len(array), object)
        texts[:] = array.to_pylist()
        return texts
    values: Array = array.to_numpy(zero_copy_only=False)
    if datatype.name == "BF16":
        return fp32_to_bf16(np.ascontiguousarray(values, np.float32))
    return values.astype(datatype.numpy, copy=False)
