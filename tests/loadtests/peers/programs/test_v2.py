"""What a peer's program reads is what the workload sends, and what it writes is read right."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from loadtests.bench_models import WORKLOADS, Workload, first_float, workloads
from loadtests.peers.programs.v2 import LENGTH_HEADER, plain_answer, read_body, write_body

SMALL = [name for name in WORKLOADS if not name.startswith(("big", "image"))]


@pytest.mark.parametrize("name", SMALL)
def test_what_is_sent_is_read(name: str) -> None:
    """Both encodings, numbers and texts, one input and many."""
    workload = workloads()[name]
    body, headers = workload.body()

    arrays, is_binary = read_body(body, headers.get(LENGTH_HEADER))

    assert is_binary is workload.is_binary
    assert list(arrays) == list(workload.inputs)
    for name_of, array in workload.inputs.items():
        np.testing.assert_array_equal(arrays[name_of], array)


numbers = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=8)
texts = st.lists(st.text(max_size=5), min_size=1, max_size=8)


@settings(max_examples=50)
@given(numbers, texts, st.booleans())
def test_what_is_written_can_be_checked(
    values: list[float], words: list[str], binary: bool
) -> None:
    """The load test finds the first number behind labels of any length."""
    outputs: dict[str, NDArray[Any]] = {
        "label": np.array(words, np.object_),
        "score": np.array([values], np.float32),
    }
    body, headers = write_body("m", outputs, binary)

    assert first_float(body, headers.get(LENGTH_HEADER)) == pytest.approx(values[0])


def test_an_answer_for_others_to_write_has_no_arrays() -> None:
    """The peer's own JSON writer takes lists and numbers."""
    answer = plain_answer("m", {"score": np.array([[0.5, 0.25]], np.float32)})

    assert orjson.loads(orjson.dumps(answer)) == {
        "model_name": "m",
        "model_version": "1",
        "outputs": [{"name": "score", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 0.25]}],
    }


def test_an_array_of_several_rows_keeps_its_shape() -> None:
    """Data are in a row, whatever the shape, which is said beside."""
    workload = Workload("w", "m", {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}, True)
    body, headers = workload.body()

    arrays, _ = read_body(body, headers[LENGTH_HEADER])

    assert arrays["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
