"""The models that are measured, and the requests that are sent to them.

Built in a scratch folder from fixed seeds; nothing here is served to anybody else.
"""

import itertools
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import orjson
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier


@dataclass(frozen=True)
class Workload:
    """One request, to be sent again and again."""

    name: str
    model: str
    input_name: str
    rows: NDArray[np.float32]
    is_binary: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    """More headers of the request, such as a key."""

    def body(self) -> tuple[bytes, dict[str, str]]:
        """Return the request's body and headers."""
        tensor = {"name": self.input_name, "datatype": "FP32", "shape": list(self.rows.shape)}
        if not self.is_binary:
            data = [round(float(value), 6) for value in self.rows.ravel()]
            body = orjson.dumps({"inputs": [{**tensor, "data": data}]})
            return body, {"Content-Type": "application/json", **self.headers}
        parameters = {"binary_data_size": self.rows.nbytes}
        head = orjson.dumps(
            {
                "inputs": [{**tensor, "parameters": parameters}],
                "parameters": {"binary_data_output": True},
            }
        )
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
            **self.headers,
        }
        return head + self.rows.tobytes(), headers


def tabular() -> bytes:
    """Return 100 boosted trees of depth 5 on the 30 features of breast cancer."""
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows.astype(np.float32)
    trees = GradientBoostingClassifier(n_estimators=100, max_depth=5, random_state=0)
    trees.fit(rows, labels)
    proto = to_onnx(trees, rows[:1], options={id(trees): {"zipmap": False}}, target_opset=17)
    return bytes(proto.SerializeToString())


def dense(sizes: tuple[int, ...], seed: int = 0) -> bytes:
    """Return a net of dense layers with ReLU between them, of random weights."""
    generator = np.random.default_rng(seed)
    nodes, weights, last = [], [], "input"
    for at, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        is_last = at == len(sizes) - 2
        matrix = generator.standard_normal((wide, narrow)) / np.sqrt(wide)
        weights.append(numpy_helper.from_array(matrix.astype(np.float32), f"w{at}"))
        weights.append(numpy_helper.from_array(np.zeros(narrow, np.float32), f"b{at}"))
        gemm = "output" if is_last else f"h{at}"
        nodes.append(helper.make_node("Gemm", [last, f"w{at}", f"b{at}"], [gemm]))
        if not is_last:
            nodes.append(helper.make_node("Relu", [gemm], [f"r{at}"]))
            last = f"r{at}"
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", sizes[0]])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", sizes[-1]])],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


MLP_SIZES = (256, 1024, 1024, 10)
BIG_SIZES = (2500, 2500, 2500, 2500, 2500)
"""Four layers of 25 MB each: 100 MB of weights."""


def write_repository(root: Path) -> None:
    """Write the models that the workloads need."""
    for name, content in (("tabular", tabular()), ("mlp", dense(MLP_SIZES))):
        folder = root / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)


def workloads() -> dict[str, Workload]:
    """Return all workloads by name."""
    cancer = load_breast_cancer().data.astype(np.float32)
    vectors = np.random.default_rng(0).standard_normal((64, MLP_SIZES[0])).astype(np.float32)
    found = [
        Workload("tabular-json-1", "tabular", "X", cancer[:1], is_binary=False),
        Workload("tabular-binary-1", "tabular", "X", cancer[:1], is_binary=True),
        Workload("mlp-json-1", "mlp", "input", vectors[:1], is_binary=False),
        Workload("mlp-binary-64", "mlp", "input", vectors, is_binary=True),
    ]
    return {one.name: one for one in found}


def lua_string(value: bytes) -> str:
    """Return bytes as a Lua string literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in value) + '"'


def first_float(body: bytes, json_length: str | None) -> float:
    """Return the first number of an answer's last output, to check it."""
    if json_length is not None:
        head = orjson.loads(body[: int(json_length)])
        sizes = [one["parameters"]["binary_data_size"] for one in head["outputs"]]
        at = int(json_length) + sum(sizes[:-1])
        return float(struct.unpack_from("<f", body, at)[0])
    return float(orjson.loads(body)["outputs"][-1]["data"][0])
