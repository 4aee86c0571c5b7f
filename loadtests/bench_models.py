"""The models that are measured, and the requests that are sent to them.

Built in a scratch folder from fixed seeds; nothing here is served to anybody else.
"""

import itertools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Inputs = Mapping[str, NDArray[Any]]
"""Arrays by the name of a model's input, the first dimension being rows; text as dtype `<U…`."""

DECIMALS = 6
"""Of numbers in JSON. Inputs are rounded to them, so that both encodings carry the same rows."""

POOL = 32
"""Different requests of one workload, at most: a constant one is too easy for whoever sorts."""


@dataclass(frozen=True)
class Workload:
    """One request."""

    name: str
    model: str
    inputs: Inputs
    is_binary: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    """More headers of the request, such as a key."""

    @property
    def rows(self) -> NDArray[Any]:
        """The rows of its first input."""
        return next(iter(self.inputs.values()))

    def body(self) -> tuple[bytes, dict[str, str]]:
        """Return the request's body and headers."""
        tensors: list[dict[str, Any]] = [
            {"name": name, "datatype": datatype(array), "shape": list(array.shape)}
            for name, array in self.inputs.items()
        ]
        if not self.is_binary:
            for tensor, array in zip(tensors, self.inputs.values(), strict=True):
                tensor["data"] = _values(array)
            body = orjson.dumps({"inputs": tensors})
            return body, {"Content-Type": "application/json", **self.headers}
        parts = [_bytes(array) for array in self.inputs.values()]
        for tensor, part in zip(tensors, parts, strict=True):
            tensor["parameters"] = {"binary_data_size": len(part)}
        head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
        headers = {
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(head)),
            **self.headers,
        }
        return head + b"".join(parts), headers


def datatype(array: NDArray[Any]) -> str:
    """Return the protocol's word for what an array holds."""
    return {"f": "FP32", "i": "INT64", "U": "BYTES"}[array.dtype.kind]


def _values(array: NDArray[Any]) -> list[Any]:
    flat = array.ravel().tolist()
    return [round(value, DECIMALS) for value in flat] if array.dtype.kind == "f" else flat


def _bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the protocol's binary extension has it."""
    if array.dtype.kind != "U":
        return array.tobytes()
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


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


IMAGE_SHAPE = (3, 64, 64)
_CHANNELS = (32, 64, 128, 256, 512, 512)


def convolutional() -> bytes:
    """Return a net of six convolutions with 4 million random weights, for images of 64x64."""
    generator = np.random.default_rng(0)
    nodes, weights, last, before = [], [], "image", IMAGE_SHAPE[0]
    for at, channels in enumerate(_CHANNELS):
        stride = 1 if channels == before else 2
        kernel = generator.standard_normal((channels, before, 3, 3)) * np.sqrt(2 / (9 * before))
        weights.append(numpy_helper.from_array(kernel.astype(np.float32), f"k{at}"))
        weights.append(numpy_helper.from_array(np.zeros(channels, np.float32), f"b{at}"))
        nodes.append(
            helper.make_node(
                "Conv", [last, f"k{at}", f"b{at}"], [f"c{at}"],
                kernel_shape=[3, 3], strides=[stride, stride], pads=[1, 1, 1, 1],
            )
        )  # fmt: skip
        nodes.append(helper.make_node("Relu", [f"c{at}"], [f"r{at}"]))
        last, before = f"r{at}", channels
    matrix = generator.standard_normal((before, 10)) / np.sqrt(before)
    weights.append(numpy_helper.from_array(matrix.astype(np.float32), "w"))
    weights.append(numpy_helper.from_array(np.zeros(10, np.float32), "b"))
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "convolutional",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *IMAGE_SHAPE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 10])],
        weights,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


_TEXTS = {"purpose": 8, "home": 4, "region": 20, "job": 12}
_NUMBERS = ("income", "amount", "debt", "rate")
_COUNTS = ("age", "months")


def _loans(rows: int) -> dict[str, NDArray[Any]]:
    """Return random columns of loans, each of shape [rows, 1]: text, fractions, whole numbers."""
    generator = np.random.default_rng(1)
    found: dict[str, NDArray[Any]] = {}
    for name, kinds in _TEXTS.items():
        found[name] = np.array([f"{name} {kind}" for kind in generator.integers(0, kinds, rows)])
    for name in _NUMBERS:
        found[name] = generator.lognormal(1.0, 1.0, rows).astype(np.float32)
    for name in _COUNTS:
        found[name] = generator.integers(1, 90, rows)
    return {name: column.reshape(-1, 1) for name, column in found.items()}


def mixed() -> bytes:
    """Return a pipeline with an input for each column: one-hot texts, scaled numbers, logistic."""
    import pandas  # type: ignore[import-untyped]  # only here, and it takes long to import

    columns = _loans(2000)
    frame = pandas.DataFrame({name: column.ravel() for name, column in columns.items()})
    labels = frame["debt"] * frame["rate"] > frame["income"] * (1 + frame["home"].str.len() % 2)
    text = OneHotEncoder(handle_unknown="ignore")
    parts = [("text", text, [*_TEXTS]), ("numbers", StandardScaler(), [*_NUMBERS, *_COUNTS])]
    pipeline = Pipeline([("columns", ColumnTransformer(parts)), ("model", LogisticRegression())])
    pipeline.fit(frame, np.where(labels, "high", "low"))
    kinds = {"U": StringTensorType, "f": FloatTensorType, "i": Int64TensorType}
    proto = to_onnx(
        pipeline,
        initial_types=[
            (name, kinds[column.dtype.kind]([None, 1])) for name, column in columns.items()
        ],
        options={id(pipeline): {"zipmap": False}},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    return bytes(proto.SerializeToString())


MLP_SIZES = (256, 1024, 1024, 10)
BIG_SIZES = (2500, 2500, 2500, 2500, 2500)
"""Four layers of 25 MB each: 100 MB of weights."""
_DIGITS = Path(__file__).parent.parent / "models" / "digits" / "1" / "model.onnx"

MODELS: dict[str, Callable[[], bytes]] = {
    "tabular": tabular,
    "mlp": lambda: dense(MLP_SIZES),
    "digits": _DIGITS.read_bytes,
    "image": convolutional,
    "mixed": mixed,
    "big": lambda: dense(BIG_SIZES),
}


def write_repository(root: Path, models: tuple[str, ...] = ("tabular", "mlp")) -> None:
    """Write some of the models, as version 1 each."""
    for name in models:
        folder = root / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(MODELS[name]())


def _normal(rows: int, name: str, shape: tuple[int, ...]) -> Inputs:
    values = np.random.default_rng(0).standard_normal((rows, *shape))
    return {name: values.astype(np.float32)}


_DATA: dict[str, Callable[[int], Inputs]] = {
    "tabular": lambda _: {"X": load_breast_cancer().data.astype(np.float32)},
    "mlp": lambda rows: _normal(rows, "input", MLP_SIZES[:1]),
    "digits": lambda _: {"pixels": (load_digits().data / 16).astype(np.float32)},
    "image": lambda rows: _normal(rows, "image", IMAGE_SHAPE),
    "mixed": _loans,
    "big": lambda rows: _normal(rows, "input", BIG_SIZES[:1]),
}
_ROWS = {"tabular": (1, 8, 64), "mlp": (1, 64), "image": (1, 8), "mixed": (1, 64)}
"""Of a request, where it is not one row."""

WORKLOADS = tuple(
    f"{model}-{encoding}-{rows}"
    for model in MODELS
    for encoding in ("json", "binary")
    for rows in _ROWS.get(model, (1,))
)
"""Their names: the model, how tensors travel, rows of a request."""


def pool(name: str) -> list[Workload]:
    """Return different requests of one workload, so many that no row is sent twice."""
    model, encoding, count = name.split("-")
    rows = int(count)
    data = {
        key: array.round(DECIMALS) if array.dtype.kind == "f" else array
        for key, array in _DATA[model](POOL * rows).items()
    }
    there = len(next(iter(data.values()))) // rows
    return [
        Workload(
            name,
            model,
            {key: array[at * rows : (at + 1) * rows] for key, array in data.items()},
            encoding == "binary",
        )
        for at in range(min(POOL, there))
    ]


def workloads() -> dict[str, Workload]:
    """Return one request of each workload, by name."""
    return {name: pool(name)[0] for name in WORKLOADS}


def first_float(body: bytes, json_length: str | None) -> float:
    """Return the first number of an answer's last output, to check it."""
    if json_length is not None:
        head = orjson.loads(body[: int(json_length)])
        sizes = [one["parameters"]["binary_data_size"] for one in head["outputs"]]
        at = int(json_length) + sum(sizes[:-1])
        return float(struct.unpack_from("<f", body, at)[0])
    return float(orjson.loads(body)["outputs"][-1]["data"][0])
