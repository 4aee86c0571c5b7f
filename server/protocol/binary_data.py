"""The binary tensor extension: raw bytes to a tensor's elements, and back.

Decides whether raw bytes are what a datatype and a shape promise. Byte order is little-endian,
order of elements row-major, BOOL one byte of 0 or 1, BYTES a uint32 length before each string
(protocol: extension_binary_data.md). Copies nothing but strings.
"""

import math
import struct

import numpy as np

from server.errors import InvalidInput
from server.tensors import Array, Data, TensorSpec

_LENGTH = struct.Struct("<I")


def unpack(raw: memoryview, spec: TensorSpec, shape: tuple[int, ...]) -> Data:
    """Return the elements of a tensor of `shape` from its raw bytes.

    Raises:
        InvalidInput: another number of bytes, a BOOL other than 0 and 1, or text that is not UTF-8.

    """
    items = math.prod(shape)
    if spec.datatype.is_text:
        return _unpack_text(raw, spec, items)
    expected = items * spec.datatype.item_bytes
    if len(raw) != expected:
        raise InvalidInput(
            f"input '{spec.name}': expected {expected} bytes for {spec.datatype.name} "
            f"{list(shape)}, got {len(raw)}"
        )
    if spec.datatype.name == "BOOL" and items and np.frombuffer(raw, np.uint8).max() > 1:
        raise InvalidInput(f"input '{spec.name}': a BOOL byte must be 0 or 1")
    return raw


def _unpack_text(raw: memoryview, spec: TensorSpec, items: int) -> list[str]:
    texts: list[str] = []
    at, end = 0, len(raw)
    while at < end and len(texts) < items:
        length = _LENGTH.unpack_from(raw, at)[0] if at + 4 <= end else end
        at += 4
        if at + length > end:
            raise InvalidInput(
                f"input '{spec.name}': string {len(texts)} is cut off at the end of its bytes"
            )
        try:
            texts.append(str(raw[at : at + length], "utf-8"))
        except UnicodeDecodeError:
            raise InvalidInput(
                f"input '{spec.name}': string {len(texts)} is not valid UTF-8"
            ) from None
        at += length
    if len(texts) != items or at != end:
        raise InvalidInput(
            f"input '{spec.name}': expected {items} strings in {end} bytes, "
            f"found {len(texts)} in the first {at}"
        )
    return texts


def pack(array: Array) -> bytes:
    """Return an array's elements as the extension carries them."""
    if array.dtype != object:
        return array.tobytes()
    parts: list[bytes] = []
    for text in array.ravel().tolist():
        encoded = text.encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)
