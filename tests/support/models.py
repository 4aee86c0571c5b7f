"""Tiny ONNX models, each made to show one thing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
Dims = Sequence[int | str]

ELEMENT_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
}


def tensor(name: str, element_type: int, dims: Dims) -> onnx.ValueInfoProto:
    """Describe an input or output; a dimension given as text is free."""
    return helper.make_tensor_value_info(name, element_type, list(dims))


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: dict[str, Any] | None = None,
) -> bytes:
    """Put a model together."""
    constants = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(proto.SerializeToString())


def identity(datatype: str = "FP32", dims: Dims = ("N", 3)) -> bytes:
    """Answer with the input: x to y."""
    kind = ELEMENT_TYPES[datatype]
    return model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [tensor("x", kind, dims)],
        [tensor("y", kind, dims)],
    )


def affine(scale: float = 2.0, offset: float = 1.0, dims: Dims = ("N", 3)) -> bytes:
    """Answer y = x * scale + offset: versions with another offset can be told apart."""
    return model(
        [
            helper.make_node("Mul", ["x", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], ["y"]),
        ],
        [tensor("x", FLOAT, dims)],
        [tensor("y", FLOAT, dims)],
        {"scale": np.float32(scale).reshape(1), "offset": np.float32(offset).reshape(1)},
    )


def two_outputs() -> bytes:
    """Answer twice the input and its row sums: x to double [N,2] and total [N]."""
    return model(
        [
            helper.make_node("Add", ["x", "x"], ["double"]),
            helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0),
        ],
        [tensor("x", FLOAT, ("N", 2))],
        [tensor("double", FLOAT, ("N", 2)), tensor("total", FLOAT, ("N",))],
        {"axes": np.array([1], np.int64)},
    )


def mixed() -> bytes:
    """Take text, a whole number and a fraction in columns of their own; give each back."""
    columns = (("name", "BYTES"), ("count", "INT64"), ("price", "FP32"))
    return model(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _ in columns],
        [tensor(name, ELEMENT_TYPES[kind], ("N", 1)) for name, kind in columns],
        [tensor(f"{name}_out", ELEMENT_TYPES[kind], ("N", 1)) for name, kind in columns],
    )


def batch_mean() -> bytes:
    """Subtract the batch's mean: each row's result depends on its batch-mates."""
    return model(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        [tensor("x", FLOAT, ("N", 3))],
        [tensor("y", FLOAT, ("N", 3))],
    )


def gather(rows: int = 4) -> bytes:
    """Look up a table by index: an index out of range makes the model raise."""
    return model(
        [helper.make_node("Gather", ["table", "index"], ["y"])],
        [tensor("index", TensorProto.INT64, ("N",))],
        [tensor("y", FLOAT, ("N", 2))],
        {"table": np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)},
    )


def reciprocal() -> bytes:
    """Answer 1/x: infinity for 0, NaN never; with x = 0 in some rows only those are bad."""
    return model(
        [helper.make_node("Reciprocal", ["x"], ["y"])],
        [tensor("x", FLOAT, ("N", 2))],
        [tensor("y", FLOAT, ("N", 2))],
    )


def slow(steps: int = 60, size: int = 256) -> bytes:
    """Multiply matrices for a while: some tens of milliseconds a batch, whatever its rows.

    The first matrix depends on the input; otherwise ONNX Runtime would do all of it once, at load.
    """
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["weight", "nothing"], ["m0"]),
    ]
    nodes += [
        helper.make_node("MatMul", [f"m{step}", "weight"], [f"m{step + 1}"])
        for step in range(steps)
    ]
    nodes += [
        helper.make_node("ReduceMean", [f"m{steps}"], ["result"], keepdims=0),
        helper.make_node("Mul", ["result", "zero"], ["less"]),
        helper.make_node("Add", ["x", "less"], ["y"]),
    ]
    weight = np.eye(size, dtype=np.float32)
    return model(
        nodes,
        [tensor("x", FLOAT, ("N", 1))],
        [tensor("y", FLOAT, ("N", 1))],
        {"weight": weight, "zero": np.float32(0).reshape(1)},
    )


def loop() -> bytes:
    """Count to the largest x and answer with x: a huge number keeps the model busy for ever."""
    kind = TensorProto.INT64
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "body",
        [
            tensor("turn", kind, ()),
            tensor("go", TensorProto.BOOL, ()),
            tensor("count", kind, (1,)),
        ],
        [tensor("go_on", TensorProto.BOOL, ()), tensor("next", kind, (1,))],
    )
    return model(
        [
            helper.make_node("ReduceMax", ["x"], ["turns"], keepdims=0),
            helper.make_node("Loop", ["turns", "", "zero"], ["counted"], body=body),
            helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        [tensor("x", kind, ("N", 1))],
        [tensor("y", kind, ("N", 1))],
        {"zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64)},
    )


def kernel() -> bytes:
    """Answer with x, after comparing as many boxes with each other as the largest x says.

    10,000 take a second, and twice as many four. It is one node: nothing can break it off.
    """
    kind = TensorProto.INT64
    return model(
        [
            helper.make_node("ReduceMax", ["x"], ["largest"], axes=[0, 1], keepdims=0),
            helper.make_node("Reshape", ["largest", "one"], ["count"]),
            helper.make_node("Concat", ["one", "count", "four"], ["boxes_shape"], axis=0),
            helper.make_node("Concat", ["one", "one", "count"], ["scores_shape"], axis=0),
            helper.make_node("Expand", ["box", "boxes_shape"], ["boxes"]),
            helper.make_node("ConstantOfShape", ["scores_shape"], ["scores"]),
            helper.make_node(
                "NonMaxSuppression", ["boxes", "scores", "count", "overlap"], ["chosen"]
            ),
            helper.make_node("ReduceMax", ["chosen"], ["last"], keepdims=0),
            helper.make_node("Mul", ["last", "zero"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        [tensor("x", kind, ("N", 1))],
        [tensor("y", kind, ("N", 1))],
        {
            "one": np.ones(1, np.int64),
            "four": np.full(1, 4, np.int64),
            "zero": np.array(0, np.int64),
            "box": np.array([[[0, 0, 1, 1]]], np.float32),
            "overlap": np.ones(1, np.float32),
        },
    )


def crashing() -> bytes:
    """Answer the least whole number / (x + 1): for x = -2 the processor traps, and all ends."""
    kind = TensorProto.INT32
    return model(
        [
            helper.make_node("Add", ["x", "one"], ["divisor"]),
            helper.make_node("Div", ["least", "divisor"], ["y"]),
        ],
        [tensor("x", kind, ("N", 1))],
        [tensor("y", kind, ("N", 1))],
        {"one": np.ones(1, np.int32), "least": np.full(1, -(2**31), np.int32)},
    )


def classifier(boundary: float = 0.0) -> bytes:
    """Tell whether the first of two numbers is above a boundary: label, and both probabilities."""
    return model(
        [
            helper.make_node("Slice", ["x", "zero", "one", "one"], ["first"]),
            helper.make_node("Sub", ["first", "boundary"], ["above"]),
            helper.make_node("Sigmoid", ["above"], ["yes"]),
            helper.make_node("Sub", ["whole", "yes"], ["no"]),
            helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        [tensor("x", FLOAT, ("N", 2))],
        [
            tensor("label", TensorProto.INT64, ("N",)),
            tensor("probabilities", FLOAT, ("N", 2)),
        ],
        {
            "zero": np.array([0], np.int64),
            "one": np.array([1], np.int64),
            "boundary": np.array([[boundary]], np.float32),
            "whole": np.ones((1, 1), np.float32),
        },
    )


def nan_classifier() -> bytes:
    """Answer as `classifier` is asked: the right labels, and probabilities that are NaN."""
    return model(
        [
            helper.make_node("ReduceSum", ["x", "one"], ["total"], keepdims=1),
            helper.make_node("Mul", ["total", "lost"], ["nothing"]),
            helper.make_node("Concat", ["nothing", "nothing"], ["probabilities"], axis=1),
            helper.make_node("Greater", ["total", "zero"], ["above"]),
            helper.make_node("Cast", ["above"], ["labels"], to=TensorProto.INT64),
            helper.make_node("Squeeze", ["labels", "one"], ["label"]),
        ],
        [tensor("x", FLOAT, ("N", 2))],
        [
            tensor("label", TensorProto.INT64, ("N",)),
            tensor("probabilities", FLOAT, ("N", 2)),
        ],
        {
            "one": np.ones(1, np.int64),
            "zero": np.zeros(1, np.float32),
            "lost": np.full(1, np.nan, np.float32),
        },
    )


def rooted() -> bytes:
    """Answer with the root of x, which is NaN below zero."""
    return model(
        [helper.make_node("Sqrt", ["x"], ["y"])],
        [tensor("x", FLOAT, ("N", 3))],
        [tensor("y", FLOAT, ("N", 3))],
    )


def hoarding(times: int = 1) -> bytes:
    """Answer with x, after filling as many numbers of 4 bytes as the largest x says, `times`."""
    kind = TensorProto.INT64
    return model(
        [
            helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
            helper.make_node("Mul", ["largest", "times"], ["size"]),
            helper.make_node("Reshape", ["size", "one"], ["shape"]),
            helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
            helper.make_node("ReduceMax", ["filled"], ["nothing"], keepdims=0),
            helper.make_node("Cast", ["nothing"], ["none"], to=kind),
            helper.make_node("Add", ["x", "none"], ["y"]),
        ],
        [tensor("x", kind, ("N", 1))],
        [tensor("y", kind, ("N", 1))],
        {"one": np.ones(1, np.int64), "times": np.array(times, np.int64)},
    )


def with_external_data(folder: Path, offset: float = 1.0) -> None:
    """Write an affine model whose weights lie in a file of their own, weights.bin."""
    proto = onnx.load_from_string(
        model(
            [helper.make_node("Add", ["x", "offset"], ["y"])],
            [tensor("x", FLOAT, ("N", 1024))],
            [tensor("y", FLOAT, ("N", 1024))],
            {"offset": np.full(1024, offset, np.float32)},
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(
        proto,
        str(folder / "model.onnx"),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )


def put(repository: Path, name: str, version: int | str, content: bytes) -> Path:
    """Write a version into a repository; return its folder."""
    folder = repository / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    return folder
