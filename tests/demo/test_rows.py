"""The rows that the demo sends are requests that the example models take."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from server.demo.rows import Stream, request_body, streams
from server.engine.session import Session
from server.protocol import v2
from server.protocol.contract import Contract
from tests.support.documents import ROOT

NEWEST = {"breast-cancer": "2", "diabetes": "1", "diabetes-risk": "1", "digits": "1"}


def test_there_is_a_stream_for_every_example_model() -> None:
    """All of them are played."""
    models = {path.name for path in (ROOT / "models").iterdir() if path.is_dir()} - {"__pycache__"}

    assert {stream.model for stream in streams()} == models == set(NEWEST)


@pytest.mark.parametrize("stream", streams(), ids=lambda stream: stream.model)
def test_requests_are_what_the_model_takes(stream: Stream) -> None:
    """The program itself decodes them, against the signature of the model's file."""
    path: Path = ROOT / "models" / stream.model / NEWEST[stream.model] / "model.onnx"
    inputs, labels = stream.take(5)

    signature = Session.open(path).signature
    request = v2.decode(
        request_body(inputs),
        None,
        Contract(signature, is_batched=True, max_request_rows=4096),
    )
    assert request.rows == len(labels) == 5


def test_all_rows_come_before_any_comes_again() -> None:
    """Shuffled, so that the classes mix."""
    rows = np.arange(10)
    stream = Stream("m", {"x": rows}, rows)

    first = [label for _ in range(5) for label in stream.take(2)[1]]
    assert sorted(first) == rows.tolist()
    assert first != rows.tolist()
    assert len(stream.take(4)[1]) == 4


def test_a_request_is_written_by_datatype() -> None:
    """Words, whole numbers and fractions."""
    arrays = {
        "a": np.array([["x"]]),
        "b": np.array([[1]], np.int64),
        "c": np.array([[0.5]], np.float32),
    }

    written = orjson.loads(request_body(arrays))["inputs"]
    assert [(one["datatype"], one["shape"], one["data"]) for one in written] == [
        ("BYTES", [1, 1], [["x"]]),
        ("INT64", [1, 1], [[1]]),
        ("FP32", [1, 1], [[0.5]]),
    ]
