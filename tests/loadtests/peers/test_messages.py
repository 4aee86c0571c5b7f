"""Requests carry the workload's rows, and the number that is checked is found in answers."""

import numpy as np
import orjson
import pytest

from loadtests.bench_models import Workload, workloads
from loadtests.peers import messages
from loadtests.peers.base import Unsupported


@pytest.fixture
def one_row() -> Workload:
    """Return two numbers, whose parts cannot be mixed up."""
    return Workload("w", "m", {"x": np.array([[1.5, -2.25]], np.float32)}, is_binary=False)


def test_the_protocol_s_request_is_the_gateway_s_own(one_row: Workload) -> None:
    """Only its path is the peer's."""
    request = messages.v2_request(one_row, "/at/{model}/run", takes_binary=False)

    assert (request.path, (request.body, request.headers)) == ("/at/m/run", one_row.body())


def test_binary_tensors_go_only_to_who_takes_them() -> None:
    """Whoever takes JSON only is not sent bytes that it cannot read."""
    binary = workloads()["mlp-binary-64"]

    assert messages.v2_request(binary, "/", takes_binary=True).body == binary.body()[0]
    with pytest.raises(Unsupported, match="JSON only"):
        messages.v2_request(binary, "/", takes_binary=False)
    with pytest.raises(Unsupported, match="JSON only"):
        messages.rows_request(binary, "/")


def test_one_array_goes_as_lists_of_its_rows() -> None:
    """With the numbers that the protocol's request has."""
    request = messages.rows_request(workloads()["tabular-json-8"], "/predict")

    rows = np.array(orjson.loads(request.body)["rows"], np.float32)
    np.testing.assert_array_equal(rows, workloads()["tabular-json-8"].rows)


def test_columns_do_not_go_as_one_array(one_row: Workload) -> None:
    """A peer whose batches are of one array says why it cannot take two."""
    two = Workload("w", "m", {"x": one_row.rows, "y": one_row.rows}, is_binary=False)

    with pytest.raises(Unsupported, match="one array, not of 2"):
        messages.rows_request(two, "/")


def test_the_number_of_a_json_answer_is_the_first_of_the_last_output() -> None:
    """Labels come first in the models of trees, and say too little."""
    body = orjson.dumps({"outputs": [{"data": [1]}, {"data": [0.25, 0.75]}]})

    assert messages.first_of_v2(body, {}) == 0.25
    assert messages.first_of_rows(b"[[0.25,0.75],[1,0]]", {}) == 0.25


def test_the_number_of_a_binary_answer_is_found_whatever_the_case_of_headers() -> None:
    """Some servers write the names of headers in small letters."""
    head = orjson.dumps(
        {
            "outputs": [
                {"datatype": "INT64", "parameters": {"binary_data_size": 8}},
                {"datatype": "FP32", "parameters": {"binary_data_size": 8}},
            ]
        }
    )
    body = head + np.int64(7).tobytes() + np.array([0.25, 0.75], np.float32).tobytes()

    length = str(len(head))
    assert messages.first_of_v2(body, {"inference-header-content-length": length}) == 0.25
    assert messages.first_of_v2(body, {"Inference-Header-Content-Length": length}) == 0.25
