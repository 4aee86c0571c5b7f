"""What becomes of a request between its body and its answer, on both paths and in V1."""

import json
from typing import Any

import numpy as np
import pytest

from server.dataplane.call import row_shapes
from tests.dataplane.conftest import PlanOf, StartWorker
from tests.support.asking import (
    affine_data,
    ask,
    check_nothing_left,
    data_of,
    error_of,
    infer_body,
)
from tests.support.dataplane import InProcessWorker
from tests.support.raw import connected, post

PATHS = {
    "hot": "/v2/models/{}/infer",
    "cold": "/v2/models/{}/infer?cold",
    "version": "/v2/models/{}/versions/1/infer",
}
V1 = "/v1/models/{}:predict"


def predict(rows: Any) -> bytes:
    return json.dumps({"instances": rows}).encode()


@pytest.mark.parametrize("path", sorted(PATHS))
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 17, 20])
def test_more_rows_than_a_batch_are_one_answer(
    worker: InProcessWorker, path: str, rows: int
) -> None:
    """A request is answered as if it had run at once, however many batches its rows need."""
    given = [[row + 0.1, -row, 1e-3 * row] for row in range(rows)]
    answer = ask(worker, post(PATHS[path].format("affine"), infer_body(given, id="large")))

    assert data_of(answer) == affine_data(given)
    document = json.loads(answer.body)
    assert (document["id"], document["outputs"][0]["shape"]) == ("large", [rows, 3])


def test_parts_of_text_and_of_several_outputs_keep_their_order(worker: InProcessWorker) -> None:
    """Large requests with text, or with several outputs, are put together output by output."""
    columns = {"name": [f"n{row}" for row in range(20)], "count": list(range(20))}
    inputs = [
        {"name": "name", "datatype": "BYTES", "shape": [20, 1], "data": columns["name"]},
        {"name": "count", "datatype": "INT64", "shape": [20, 1], "data": columns["count"]},
        {"name": "price", "datatype": "FP32", "shape": [20, 1], "data": columns["count"]},
    ]
    answer = ask(worker, post("/v2/models/mixed/infer", json.dumps({"inputs": inputs}).encode()))
    assert [data_of(answer, at) for at in range(3)] == [columns["name"], *[columns["count"]] * 2]

    answer = ask(
        worker, post("/v2/models/two-outputs/infer", infer_body([[row, 1] for row in range(20)]))
    )
    assert data_of(answer, 0) == [value for row in range(20) for value in (2 * row, 2)]
    assert data_of(answer, 1) == [row + 1 for row in range(20)]


def test_parts_work_in_v1(worker: InProcessWorker) -> None:
    """A V1 request with more rows than a batch is answered row by row."""
    rows = [[row, 0.5, 2] for row in range(20)]
    answer = ask(worker, post(V1.format("affine"), predict(rows)))

    assert answer.status == 200
    expected = np.array(affine_data(rows)).reshape(-1, 3).tolist()
    assert json.loads(answer.body) == {"predictions": expected}


def test_one_bad_part_fails_the_request_once(worker: InProcessWorker) -> None:
    """A large request with a row that the model cannot run gets one error; others go on."""
    index = [0, 1] * 9 + [99, 1]
    check_nothing_left(worker)
    with connected(worker.url) as client:
        for data in (index, [0, 1] * 10):
            tensor = {"name": "index", "datatype": "INT64", "shape": [20], "data": data}
            client.send(post("/v2/models/gather/infer", json.dumps({"inputs": [tensor]}).encode()))
        assert error_of(client.read()) == (500, "model_error")
        assert data_of(client.read()) == [0, 1, 2, 3] * 10
    check_nothing_left(worker)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_no_rows_are_answered_with_no_rows(worker: InProcessWorker, path: str) -> None:
    """A request of zero rows is answered at once, with the shapes the model would have."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [0, 2], "data": []}
    body = json.dumps({"inputs": [tensor]}).encode()
    answer = ask(worker, post(PATHS[path].format("two-outputs"), body))

    assert answer.status == 200
    outputs = json.loads(answer.body)["outputs"]
    assert [(one["shape"], one["data"]) for one in outputs] == [([0, 2], []), ([0], [])]
    assert ask(worker, post(V1.format("affine"), predict([]))).body == b'{"predictions":[]}'


def test_a_request_may_not_have_more_rows_than_its_limit(worker: InProcessWorker) -> None:
    """Rows beyond the model's limit are 413 and say how many are allowed and came."""
    answer = ask(worker, post(PATHS["hot"].format("affine"), infer_body([[1, 2, 3]] * 21)))

    assert error_of(answer) == (413, "payload_too_large")
    assert b"may hold 20 rows, got 21" in answer.body


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_faulty_batch_mate_fails_alone(worker: InProcessWorker, path: str) -> None:
    """Of requests in one batch, only the one that makes the model raise gets an error."""
    requests = []
    for index in (0, 99, 3, -99, 1):
        tensor = {"name": "index", "datatype": "INT64", "shape": [1], "data": [index]}
        body = json.dumps({"inputs": [tensor]}).encode()
        requests.append(post(PATHS[path].format("gather"), body))
    with connected(worker.url) as client:
        client.send(b"".join(requests))
        answers = [client.read() for _ in requests]

    assert [data_of(answers[at]) for at in (0, 2, 4)] == [[0, 1], [6, 7], [2, 3]]
    for at in (1, 3):
        assert error_of(answers[at]) == (500, "model_error")
        assert json.loads(answers[at].body)["error"] == "the model failed on this input"


@pytest.mark.parametrize("path", sorted(PATHS))
def test_members_of_a_batch_are_answered_in_the_form_that_they_asked_for(
    worker: InProcessWorker, path: str
) -> None:
    """JSON, binary, one output of two, with an id, one row or two: each as if it was alone."""
    url = PATHS[path].format("two-outputs")
    binary = {"parameters": {"binary_data_output": True}}
    second = {"outputs": [{"name": "total", "parameters": {"binary_data": True}}]}
    requests = [
        post(url, infer_body(rows, **more))
        for rows in ([[1, 2]], [[3, 4], [5, 6]])
        for more in ({}, binary, second, {"id": "a", **binary}, {"outputs": [{"name": "total"}]})
    ]
    alone = [ask(worker, request) for request in requests]
    with connected(worker.url) as client:
        client.send(b"".join(requests))
        together = [client.read() for _ in requests]

    assert {answer.status for answer in alone} == {200}
    for one, other in zip(alone, together, strict=True):
        assert one.body == other.body
        for name in ("content-type", "inference-header-content-length"):
            assert one.header(name) == other.header(name)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_infinity_is_an_error_in_json_and_itself_in_binary(
    worker: InProcessWorker, path: str
) -> None:
    """A row that JSON cannot carry is 500 with a hint; its batch-mates and binary are fine."""
    url = PATHS[path].format("reciprocal")
    binary = infer_body([[0, 4]], parameters={"binary_data_output": True})
    with connected(worker.url) as client:
        client.send(post(url, infer_body([[2, 4]])) + post(url, infer_body([[1, 2], [0, 4]])))
        client.send(post(url, infer_body([[5, 8]])) + post(url, binary))
        good, bad, fine, raw = (client.read() for _ in range(4))

    assert data_of(good) == [0.5, 0.25]
    assert data_of(fine) == [0.2, 0.125]
    assert error_of(bad) == (500, "non_finite_output")
    text = json.loads(bad.body)["error"]
    assert text.startswith("output 'y' is NaN or infinite in row 1; ")
    assert "binary_data" in text
    assert "non_finite = 'token'" in text
    size = int(raw.header("inference-header-content-length") or -1)
    assert np.frombuffer(raw.body[size:], "<f4").tolist() == [np.inf, 0.25]


def test_infinity_is_a_token_where_the_model_says_so(
    start_worker: StartWorker, plan_of: PlanOf
) -> None:
    """With non_finite = 'token', JSON carries the bare tokens, in V2 and V1."""
    with start_worker({"reciprocal": plan_of("reciprocal", non_finite="token")}) as worker:
        tensor = infer_body([[0, 4]])
        for path in PATHS.values():
            answer = ask(worker, post(path.format("reciprocal"), tensor))
            assert b'"data":[Infinity,0.25]' in answer.body
            assert data_of(answer) == [np.inf, 0.25]
        answer = ask(worker, post(V1.format("reciprocal"), predict([[-0.0, 4]])))
        assert answer.body == b'{"predictions":[[-Infinity,0.25]]}'


def test_infinity_is_an_error_in_v1(worker: InProcessWorker) -> None:
    """V1 has no binary answers; its hint names the setting."""
    answer = ask(worker, post(V1.format("reciprocal"), predict([[0, 4]])))

    assert error_of(answer) == (500, "non_finite_output")
    assert b"set non_finite = 'token'" in answer.body


@pytest.mark.parametrize("path", [*sorted(PATHS), "v1"])
@pytest.mark.parametrize("rows", [86, 200])
def test_answers_are_bounded(
    start_worker: StartWorker, plan_of: PlanOf, path: str, rows: int
) -> None:
    """An answer with more tensor bytes than the limit is 500; one of the limit's size is not."""
    with start_worker({"affine": plan_of("affine", max_rows=100)}, max_output_bytes=1024) as worker:
        url = {**PATHS, "v1": V1}[path].format("affine")
        body = predict if path == "v1" else infer_body
        answer = ask(worker, post(url, body([[1, 2, 3]] * rows)))
        assert error_of(answer) == (500, "output_too_large")
        assert b"larger than 1024 bytes" in answer.body
        assert ask(worker, post(url, body([[1, 2, 3]] * 85))).status == 200
        check_nothing_left(worker)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_unbatched_requests_run_alone(worker: InProcessWorker, path: str) -> None:
    """A model whose rows depend on each other sees one request a run, and fixed shapes work."""
    url = PATHS[path].format("batch-mean")
    with connected(worker.url) as client:
        for first in range(5):
            client.send(post(url, infer_body([[first, 0, 0], [first + 2, 2, 0]])))
        answers = [data_of(client.read()) for _ in range(5)]
    assert answers == [[-1, -1, 0, 1, 1, 0]] * 5

    answer = ask(worker, post(PATHS[path].format("fixed"), infer_body([[1, 2, 3]])))
    assert json.loads(answer.body)["outputs"][0]["shape"] == [1, 3]
    assert data_of(answer) == [1, 2, 3]
    refused = ask(worker, post(PATHS[path].format("fixed"), infer_body([[1, 2, 3]] * 2)))
    assert error_of(refused) == (400, "invalid_input")
    assert b"expected shape [1, 3]" in refused.body


def test_requests_of_different_shapes_are_batched_apart(worker: InProcessWorker) -> None:
    """Where trailing dimensions are free, each caller gets back its own shape."""
    with connected(worker.url) as client:
        for width in (1, 3, 3, 2, 1):
            client.send(post(PATHS["hot"].format("open"), infer_body([[width] * width])))
        assert [data_of(client.read()) for _ in range(5)] == [[1], [3] * 3, [3] * 3, [2] * 2, [1]]
    assert row_shapes(((4, 2), (4,))) == ((2,), ())
