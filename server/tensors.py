"""Datatypes, shapes and signatures: the words in which requests and models are described.

Knows the Open Inference Protocol's datatypes and what they are in NumPy, in `struct` and in
ONNX. Does not know HTTP, JSON or ONNX Runtime.

A tensor in flight is its bytes: row-major, little-endian, without padding, as in the protocol's
binary extension. Numbers become such bytes on arrival (`struct.pack` is strict where NumPy
coerces: it refuses strings, null, fractions for integers and overflow), so a batch is a join of
byte strings, whatever mix of JSON and binary requests it is made of. BYTES tensors are lists of
`str`, because ONNX strings are UTF-8 text.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.errors import InvalidInput

Data = bytes | memoryview | list[str]
"""One tensor's elements: packed numbers, or text."""

Array = NDArray[Any]

MAX_RANK = 32
_MAX_ITEMS = 2**59
"""Beyond it NumPy cannot name the shape, not even of a tensor that a dimension of 0 makes empty."""


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype of the protocol."""

    name: str
    """The protocol's word, such as FP32."""

    onnx: str
    """ONNX Runtime's word, such as tensor(float)."""

    numpy: np.dtype[Any]
    """How elements lie in memory. BF16 has no NumPy type: its bits travel as uint16."""

    struct_code: str
    """Format character that packs one Python number; empty where none does."""

    @property
    def is_text(self) -> bool:
        """Whether elements are strings instead of fixed-size numbers."""
        return self.name == "BYTES"

    @property
    def is_float(self) -> bool:
        """Whether NaN and infinity exist in this datatype."""
        return self.name in _FLOATS

    @property
    def item_bytes(self) -> int:
        """Size of one element; meaningless for text."""
        return self.numpy.itemsize


_FLOATS = frozenset({"FP16", "FP32", "FP64", "BF16"})

DATATYPES: Mapping[str, Datatype] = {
    name: Datatype(name, f"tensor({onnx})", np.dtype(numpy), code)
    for name, onnx, numpy, code in (
        ("BOOL", "bool", "?", ""),
        ("UINT8", "uint8", "<u1", "B"),
        ("UINT16", "uint16", "<u2", "H"),
        ("UINT32", "uint32", "<u4", "I"),
        ("UINT64", "uint64", "<u8", "Q"),
        ("INT8", "int8", "<i1", "b"),
        ("INT16", "int16", "<i2", "h"),
        ("INT32", "int32", "<i4", "i"),
        ("INT64", "int64", "<i8", "q"),
        ("FP16", "float16", "<f2", "e"),
        ("FP32", "float", "<f4", "f"),
        ("FP64", "double", "<f8", "d"),
        ("BF16", "bfloat16", "<u2", ""),
        ("BYTES", "string", "O", ""),
    )
}

BY_ONNX: Mapping[str, Datatype] = {datatype.onnx: datatype for datatype in DATATYPES.values()}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model. A dimension of -1 may have any size."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    row_items: int | None = field(init=False, compare=False)
    """Elements in one row (everything after the first dimension); None if that varies."""
    row_trail: list[int] | None = field(init=False, compare=False, repr=False)
    """The dimensions after the first, as JSON carries them; None if they vary or there is none."""
    pack_row: Any = field(init=False, compare=False, repr=False)
    """`struct.Struct.pack` for one row, or None; made once because every request needs it."""

    def __post_init__(self) -> None:
        trail = self.shape[1:]
        fixed = math.prod(trail) if all(size >= 0 for size in trail) else None
        object.__setattr__(self, "row_items", fixed)
        is_row = bool(self.shape) and fixed is not None
        object.__setattr__(self, "row_trail", list(trail) if is_row else None)
        pack = None
        if fixed is not None and self.datatype.struct_code:
            pack = struct.Struct(f"<{fixed}{self.datatype.struct_code}").pack
        object.__setattr__(self, "pack_row", pack)

    @property
    def has_rows(self) -> bool:
        """Whether the first dimension is free, as a batch needs it."""
        return bool(self.shape) and self.shape[0] < 0

    def check_shape(self, shape: object) -> tuple[int, ...]:
        """Return `shape` as a tuple, or raise InvalidInput naming this tensor."""
        if type(shape) is not list or set(map(type, shape)) - {int} or len(shape) > MAX_RANK:
            raise InvalidInput(
                f"input '{self.name}': shape must be a list of at most {MAX_RANK} integers"
            )
        sizes = tuple(shape)
        fits = len(sizes) == len(self.shape) and all(
            size >= 0 and wanted in (-1, size)
            for size, wanted in zip(sizes, self.shape, strict=True)
        )
        if not fits:
            raise InvalidInput(
                f"input '{self.name}': expected shape {list(self.shape)} (-1 is any size), "
                f"got {list(sizes)}"
            )
        if 0 in sizes and math.prod(size or 1 for size in sizes) > _MAX_ITEMS:
            raise InvalidInput(
                f"input '{self.name}': shape {list(sizes)} is too large, though it holds nothing"
            )
        return sizes


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    input_index: Mapping[str, int] = field(init=False, compare=False, repr=False)
    output_index: Mapping[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        for attribute, specs in (("input_index", self.inputs), ("output_index", self.outputs)):
            object.__setattr__(self, attribute, {spec.name: i for i, spec in enumerate(specs)})

    @property
    def has_rows(self) -> bool:
        """Whether there are inputs, and every input and output has a free first dimension."""
        return bool(self.inputs) and all(spec.has_rows for spec in (*self.inputs, *self.outputs))

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return the signature in the form of the protocol's model metadata."""
        return {
            side: [
                {"name": spec.name, "datatype": spec.datatype.name, "shape": list(spec.shape)}
                for spec in specs
            ]
            for side, specs in (("inputs", self.inputs), ("outputs", self.outputs))
        }

    @classmethod
    def from_json(cls, value: Mapping[str, list[dict[str, Any]]]) -> "Signature":
        """Read what `to_json` wrote."""
        inputs, outputs = (
            tuple(
                TensorSpec(spec["name"], DATATYPES[spec["datatype"]], tuple(spec["shape"]))
                for spec in value[side]
            )
            for side in ("inputs", "outputs")
        )
        return cls(inputs, outputs)


def to_array(data: Data, datatype: Datatype, shape: tuple[int, ...]) -> Array:
    """Return the elements as an array of `shape`; numbers are a view, not a copy.

    The array may be read-only and unaligned. BF16 comes back as its bits in uint16.
    """
    if isinstance(data, list):
        array = np.empty(len(data), dtype=object)
        array[:] = data
        return array.reshape(shape)
    return np.frombuffer(data, dtype=datatype.numpy).reshape(shape)


def bf16_to_fp32(bits: Array) -> NDArray[np.float32]:
    """Widen BF16 bits (uint16, any shape) to float32 of the same shape, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def fp32_to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round float32 to BF16 bits, to nearest, ties to even; NaN stays NaN."""
    bits = values.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet_nan = (bits >> 16) | 0x40
    return np.where(np.isnan(values), quiet_nan, rounded).astype(np.uint16)


def file_problem(error: Exception) -> str:
    """Return what is wrong with a NumPy file that cannot be read, without NumPy's arguments."""
    text = str(error) or type(error).__name__
    if "allow_pickle" not in text:
        return text
    return "it holds Python objects" if "Object arrays" in text else "it is no file of NumPy"
