"""The models that hostile clients are sent to."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_FLOAT = TensorProto.FLOAT


def affine() -> bytes:
    """Answer y = 2x + 1 for rows of three numbers."""
    nodes = [
        helper.make_node("Mul", ["x", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["y"]),
    ]
    constants = {"scale": np.array([2], np.float32), "offset": np.array([1], np.float32)}
    return _model(nodes, ("x", _FLOAT, ["N", 3]), ["N", 3], constants)


def gather(rows: int = 4) -> bytes:
    """Look up a table by index: an index out of range makes the whole run raise."""
    table = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    nodes = [helper.make_node("Gather", ["table", "index"], ["y"])]
    return _model(nodes, ("index", TensorProto.INT64, ["N"]), ["N", 2], {"table": table})


def crashing() -> bytes:
    """Divide the least whole number by x + 1: for x = -2 the processor traps, and all ends."""
    nodes = [
        helper.make_node("Add", ["x", "one"], ["divisor"]),
        helper.make_node("Div", ["least", "divisor"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["y"], to=_FLOAT),
    ]
    constants = {"one": np.ones(1, np.int32), "least": np.full(1, -(2**31), np.int32)}
    return _model(nodes, ("x", TensorProto.INT32, ["N", 2]), ["N", 2], constants)


def looping() -> bytes:
    """Count to the largest x: a huge number keeps the model busy for ever."""
    kind = TensorProto.INT64
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", kind, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", kind, [1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", kind, [1]),
        ],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["turns"], keepdims=0),
        helper.make_node("Loop", ["turns", "", "zero"], ["counted"], body=body),
        helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=_FLOAT),
    ]
    constants = {"zero": np.zeros(1, np.int64), "one": np.ones(1, np.int64)}
    return _model(nodes, ("x", kind, ["N", 1]), ["N", 1], constants)


def unstoppable() -> bytes:
    """Compare as many boxes with each other as x says, in one node: 10,000 take about a second."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], axes=[0, 1], keepdims=0),
        helper.make_node("Reshape", ["largest", "one"], ["count"]),
        helper.make_node("Concat", ["one", "count", "four"], ["boxes_shape"], axis=0),
        helper.make_node("Concat", ["one", "one", "count"], ["scores_shape"], axis=0),
        helper.make_node("Expand", ["box", "boxes_shape"], ["boxes"]),
        helper.make_node("ConstantOfShape", ["scores_shape"], ["scores"]),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "count", "overlap"], ["chosen"]),
        helper.make_node("ReduceMax", ["chosen"], ["last"], keepdims=0),
        helper.make_node("Mul", ["last", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=_FLOAT),
    ]
    constants: dict[str, NDArray[Any]] = {
        "one": np.ones(1, np.int64),
        "four": np.full(1, 4, np.int64),
        "zero": np.array(0, np.int64),
        "box": np.array([[[0, 0, 1, 1]]], np.float32),
        "overlap": np.ones(1, np.float32),
    }
    return _model(nodes, ("x", TensorProto.INT64, ["N", 1]), ["N", 1], constants)


def wide(values: int = 1 << 18) -> bytes:
    """Answer each number with that many copies of it: a megabyte for four bytes."""
    nodes = [helper.make_node("Mul", ["x", "ones"], ["y"])]
    ones = np.ones((1, values), np.float32)
    return _model(nodes, ("x", _FLOAT, ["N", 1]), ["N", values], {"ones": ones})


def _model(
    nodes: list[onnx.NodeProto],
    given: tuple[str, int, list[str | int]],
    answered: list[str | int],
    constants: dict[str, NDArray[Any]],
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info(*given)],
        [helper.make_tensor_value_info("y", _FLOAT, answered)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(proto.SerializeToString())


def put(repository: Path, name: str, content: bytes, settings: str = "") -> None:
    """Put version 1 of a model into a repository."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    (repository / name / "model.toml").write_text(settings)
