"""Values of every datatype in the form in which Triton's Python client takes them."""

from typing import Any

import ml_dtypes
import numpy as np

VALUES: dict[str, Any] = {
    "BOOL": np.array([[True, False, True]]),
    "UINT8": np.array([[0, 1, 255]], np.uint8),
    "UINT16": np.array([[0, 1, 65535]], np.uint16),
    "UINT32": np.array([[0, 1, 2**32 - 1]], np.uint32),
    "UINT64": np.array([[0, 1, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 0, 127]], np.int8),
    "INT16": np.array([[-(2**15), 0, 2**15 - 1]], np.int16),
    "INT32": np.array([[-(2**31), 0, 2**31 - 1]], np.int32),
    "INT64": np.array([[-(2**63), 0, 2**63 - 1]], np.int64),
    "FP16": np.array([[-65504, 0.5, 6e-8]], np.float16),
    "FP32": np.array([[-1.5, 0.1, 3e38]], np.float32),
    "FP64": np.array([[-1.5, 0.1, 1e308]], np.float64),
    "BF16": np.array([[-1.5, 0.5, 256]], ml_dtypes.bfloat16),
    "BYTES": np.array([["", "grün", "a\0b"]], np.object_),
}

BINARY_ONLY = {"FP16", "BF16"}
"""Datatypes that the client sends in binary form only."""


def plain(array: Any) -> Any:
    """Return an answer's values for comparison: text comes as bytes in the binary form."""
    if array.dtype == np.object_:
        return [[v.decode() if isinstance(v, bytes) else v for v in row] for row in array]
    return array.tolist()
