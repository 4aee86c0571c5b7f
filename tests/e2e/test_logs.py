"""Log lines hold names, counts and codes: never what callers sent, whatever becomes of it."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support import models
from tests.support.gateway import Gateway, call, eventually, running

NUMBER, TEXT = 918273645, "c4n4ry"
"""What no line of ours could hold by chance."""
MODELS = {
    "affine": models.affine(),
    "gather": models.gather(),
    "rooted": models.rooted(),
    "mixed": models.mixed(),
    "crashing": models.crashing(),
}
CHECKED = 'check_policy = "reject"\n[checks.x]\nmaximum = 1\n'
SHAPES = [[1, 3], [1, 4], [3], [1, -1], [2**40, 2**40], [NUMBER]]
KINDS = ["FP32", "INT64", "BYTES", "BOOL", TEXT]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that logs all it can, with models that fail and one with a data check."""
    root = tmp_path_factory.mktemp("logs")
    for name, content in MODELS.items():
        models.put(root / "models", name, 1, content)
    folder = models.put(root / "models", "checked", 1, models.affine(dims=("N", 1)))
    (folder.parent / "model.toml").write_text(CHECKED)
    with running(root / "models", root / "state", log_level="debug") as one:
        yield one


def tensors(
    name: str,
    data: Any,
    kind: str = "FP32",
    shape: Any = None,
    parameters: dict[str, Any] | None = None,
) -> bytes:
    """Return the body of an inference with one input."""
    shape = shape if shape is not None else [1, len(data)]
    return json.dumps(
        {
            "id": TEXT,
            "parameters": parameters or {},
            "inputs": [{"name": name, "datatype": kind, "shape": shape, "data": data}],
        }
    ).encode()


def bodies() -> list[tuple[str, bytes]]:
    """Return a model and a body for each way in which an inference fails, and for good ones."""
    three = [NUMBER, NUMBER, NUMBER]
    good = tensors("x", three)
    found = [
        ("affine", good),
        ("affine", tensors("x", three, parameters={TEXT: NUMBER})),
        ("affine", tensors("x", three, parameters={"priority": TEXT, "timeout": TEXT})),
        ("affine", good[:-3]),
        ("affine", good + TEXT.encode()),
        ("affine", b"[" * 1000 + TEXT.encode()),
        ("affine", tensors(TEXT, three)),
        ("affine", tensors("x", [TEXT, NUMBER, None])),
        ("affine", tensors("x", [float(NUMBER) * 1e300] * 3)),
        ("checked", tensors("x", [NUMBER])),
        ("rooted", tensors("x", [-NUMBER, -NUMBER, -NUMBER])),
        ("gather", tensors("index", [NUMBER], "INT64", [1])),
        ("mixed", tensors("name", [TEXT], "BYTES")),
        (TEXT, good),
    ]
    found += [("affine", tensors("x", three, kind, shape)) for kind in KINDS for shape in SHAPES]
    return found


def ask_everything(gateway: Gateway) -> set[int]:
    """Ask in every way; return the statuses."""
    seen = set()
    for model, body in bodies():
        for path in (f"/v2/models/{model}/infer", f"/v1/models/{model}:predict"):
            seen.add(call(gateway.data + path, body).status)
    binary = np.full(3, NUMBER, np.float32).tobytes()
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": [1, 3],
                    "parameters": {"binary_data_size": len(binary)},
                }
            ]
        }
    ).encode()
    for length in (str(len(head)), str(len(head) - 1), TEXT, str(NUMBER)):
        headers = {"Inference_Header_Content_Length": length}
        seen.add(call(f"{gateway.data}/v2/models/affine/infer", head + binary, **headers).status)
    for name in ("X_Request_Id", "X_Request_Timeout_Ms", "X_Prediction_Id", "Content_Encoding"):
        for value in (TEXT, str(NUMBER), "1"):
            path = f"/v2/models/affine/infer?{TEXT}={NUMBER}"
            body = tensors("x", [NUMBER] * 3)
            seen.add(call(gateway.data + path, body, **{name: value}).status)
    return seen


def ask_control(gateway: Gateway) -> set[int]:
    """Send labels, and calls that cannot be understood; return the statuses."""
    items = [
        {"prediction_id": f"{TEXT}:1", "label": NUMBER},
        {"prediction_id": TEXT, "label": TEXT},
        {"prediction_id": 7, "label": [NUMBER]},
    ]
    asked: list[tuple[str, bytes]] = [
        *(("/v1/feedback", json.dumps({"items": [one]}).encode()) for one in items),
        ("/v1/feedback", TEXT.encode()),
        ("/v1/models/affine/release/promote", json.dumps({"version": TEXT}).encode()),
        ("/v2/repository/models/affine/load", json.dumps({"parameters": {TEXT: 1}}).encode()),
        (f"/v2/repository/models/{TEXT}/load", b"{}"),
        ("/login", f"key={TEXT}&next=/{TEXT}".encode()),
    ]
    return {call(gateway.control + path, body).status for path, body in asked}


def test_no_line_holds_what_a_caller_sent(gateway: Gateway) -> None:
    """Numbers, text, names, ids, headers: through every kind of error, and a worker's death."""
    seen = ask_everything(gateway)
    assert seen >= {200, 400, 404, 415, 500}
    assert ask_control(gateway) >= {200, 400, 404}
    killing = tensors("x", [[-2], [NUMBER]], "INT32", [2, 1])
    with contextlib.suppress(OSError, http.client.HTTPException):
        call(f"{gateway.data}/v2/models/crashing/infer", killing)
    eventually(lambda: gateway.logged("version_fault"))

    assert {line["model"] for line in gateway.logged("batch_failed")} >= {"gather"}
    for line in gateway.log_path.read_text().splitlines():
        assert TEXT not in line
        assert str(NUMBER) not in line.replace("_", "").replace(",", "")
