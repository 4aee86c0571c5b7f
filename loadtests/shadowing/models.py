"""The models of the measurement: one whose cost is known, and candidates that go wrong.

Decides how each of them is made. A bad one is good with the small numbers that a version is tried
with before it is served, and bad with those of the measurement's requests.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, STEPS = 64, 24


def _graph(nodes: list[onnx.NodeProto], weights: dict[str, Any]) -> bytes:
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(
        nodes,
        "steady",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 1])],
        constants,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(proto.SerializeToString())


def steady(factor: float = 1.0) -> bytes:
    """Return a model whose cost grows with its rows: about half a millisecond each.

    A factor other than 1 makes it another version, with other answers, at the same cost.
    """
    nodes = [
        helper.make_node("Unsqueeze", ["x", "last"], ["column"]),
        helper.make_node("Mul", ["column", "weight"], ["m0"]),
        *(
            helper.make_node("MatMul", [f"m{step}", "weight"], [f"m{step + 1}"])
            for step in range(STEPS)
        ),
        helper.make_node("ReduceMean", [f"m{STEPS}"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "factor"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "first"], ["y"]),
    ]
    weights = {
        "weight": np.eye(SIZE, dtype=np.float32),
        "factor": np.float32(factor).reshape(1),
        "last": np.array([2], np.int64),
        "first": np.array([1], np.int64),
    }
    return _graph(nodes, weights)


def _with_mean(nodes: list[onnx.NodeProto], weights: dict[str, Any]) -> bytes:
    """Return a model that answers the mean, plus what `nodes` make of it under the name `more`."""
    return _graph(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
            *nodes,
            helper.make_node("Add", ["mean", "more"], ["y"]),
        ],
        weights,
    )


def endless() -> bytes:
    """Return a model that goes on for ever, unless it is only tried with small numbers."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Mul", ["kept", "half"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1]),
        ],
    )
    return _with_mean(
        [*_huge("turns"), helper.make_node("Loop", ["turns", "", "one"], ["more"], body=body)],
        {"one": np.ones(1, np.float32), "half": np.float32(0.5).reshape(1), **_BOUND},
    )


def hoarding() -> bytes:
    """Return a model that fills gigabytes, unless it is only tried with small numbers."""
    return _with_mean(
        [
            *_huge("size"),
            helper.make_node("Reshape", ["size", "shape"], ["sizes"]),
            helper.make_node("ConstantOfShape", ["sizes"], ["filled"]),
            helper.make_node("ReduceMax", ["filled"], ["more"], keepdims=0),
        ],
        {"shape": np.ones(1, np.int64), **_BOUND},
    )


_BOUND = {"bound": np.float32(1000.0), "huge": np.int64(2**31)}
"""Sums above the bound come from the requests of this measurement only."""


def _huge(name: str) -> Iterator[onnx.NodeProto]:
    """Yield nodes that make a huge number of large inputs, and 0 of others."""
    yield helper.make_node("Greater", ["total", "bound"], ["is_large"])
    yield helper.make_node("Cast", ["is_large"], ["large"], to=TensorProto.INT64)
    yield helper.make_node("Mul", ["large", "huge"], [name])


def lost() -> bytes:
    """Return a model that answers NaN."""
    nodes = [helper.make_node("Mul", ["mean", "nan"], ["more"])]
    return _with_mean(nodes, {"nan": np.full(1, np.nan, np.float32)})


def versions() -> dict[str, bytes]:
    """Return the live version, and all candidates: as costly, endless, hoarding, lost."""
    return {"1": steady(), "2": steady(1.001), "3": endless(), "4": hoarding(), "5": lost()}
