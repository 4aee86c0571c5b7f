"""Switch a model's version again and again under load, and look at every answer.

Two versions add another number each, so an answer's numbers tell which one made them; they must be
those of the version that the answer names, and nothing may fail.
"""

import contextlib
import json
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper, numpy_helper

from loadtests import targets
from loadtests.clients import Clients

OFFSETS = {"1": 1.0, "2": 2.0}
INPUT = [0.5, 1.5, 2.5]


def adder(offset: float) -> bytes:
    """Return a model that adds `offset`."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "offset"], ["y"])],
        "adder",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.float32(offset).reshape(1), "offset")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def measure(switches: int) -> str:
    """Switch `switches` times; return what was seen."""
    seen: Counter[str] = Counter()
    body = orjson.dumps(
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": INPUT}]}
    )

    def check(content: bytes) -> str:
        answer = orjson.loads(content)
        version = answer["model_version"]
        seen[version] += 1
        expected = [value + OFFSETS[version] for value in INPUT]
        got = answer["outputs"][0]["data"]
        return "" if got == expected else f"version {version} answered {got}"

    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-")))
        repository = scratch / "models"
        for version, offset in OFFSETS.items():
            folder = repository / "adder" / version
            folder.mkdir(parents=True)
            (folder / "model.onnx").write_bytes(adder(offset))
        control_port = targets.free_port()
        target = stack.enter_context(
            targets.tidegate(
                scratch, repository, 2, "tidegate", "--control-port", str(control_port)
            )
        )
        url = f"http://127.0.0.1:{target.port}"
        started = time.perf_counter()
        with Clients(url, "/v2/models/adder/infer", body, check) as clients:
            for number in range(switches):
                _switch(control_port, str(number % 2 + 1))
        seconds = time.perf_counter() - started
    ledger = clients.ledger
    return (
        f"{switches} switches in {seconds:.1f} s ({seconds / switches * 1000:.0f} ms each), "
        f"{ledger.answers:,} answers, by version {dict(sorted(seen.items()))}, "
        f"{len(ledger.failures)} failed {ledger.failures[:3]}"
    )


def _switch(control_port: int, version: str) -> None:
    policy = {"version_policy": {"specific": {"versions": [int(version)]}}}
    request = urllib.request.Request(
        f"http://127.0.0.1:{control_port}/v2/repository/models/adder/load",
        json.dumps({"parameters": {"config": json.dumps(policy)}}).encode(),
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        live = [row["version"] for row in json.load(answer)["versions"] if row["live"]]
    if live != [version]:
        raise SystemExit(f"switching to version {version} made {live} live")
