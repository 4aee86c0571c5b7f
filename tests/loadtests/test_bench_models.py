"""Workloads carry the same rows in both encodings, and their models answer them."""

import struct

import numpy as np
import onnx
import orjson
import pytest

from loadtests import bench_models
from loadtests.bench_models import Workload
from loadtests.proof.checking import expected


@pytest.mark.parametrize("name", bench_models.WORKLOADS)
def test_a_pool_has_different_requests_of_the_size_that_the_name_says(name: str) -> None:
    """Rows as named, several requests, no two alike."""
    pool = bench_models.pool(name)

    assert len(pool) > 1
    assert {len(one.rows) for one in pool} == {int(name.rsplit("-", 1)[1])}
    assert len({one.body()[0] for one in pool}) == len(pool)


@pytest.mark.parametrize("model", bench_models.MODELS)
def test_numbers_in_json_are_those_in_binary_tensors(model: str) -> None:
    """Both are read as the same bits, so one expected answer holds for both."""
    json, binary = (bench_models.pool(f"{model}-{kind}-1")[0] for kind in ("json", "binary"))
    body, headers = binary.body()
    at = int(headers["Inference-Header-Content-Length"])
    for tensor, described in zip(
        orjson.loads(json.body()[0])["inputs"], orjson.loads(body[:at])["inputs"], strict=True
    ):
        part = body[at : at + described["parameters"]["binary_data_size"]]
        at += len(part)
        if tensor["datatype"] != "BYTES":
            dtype = {"FP32": np.float32, "INT64": np.int64}[tensor["datatype"]]
            assert np.array(tensor["data"], dtype).tobytes() == part
        assert (tensor["name"], tensor["shape"]) == (described["name"], described["shape"])

    assert at == len(body)


def test_text_in_binary_tensors_has_its_length_before_it() -> None:
    """In bytes of UTF-8, as the protocol says."""
    work = Workload("w", "m", {"x": np.array([["é"], ["ab"]])}, is_binary=True)

    assert work.body()[0].endswith(struct.pack("<I", 2) + "é".encode() + b"\x02\0\0\0ab")


def test_columns_of_text_and_numbers_are_answered_differently() -> None:
    """The pipeline takes ten inputs, and its answer depends on them."""
    pool = bench_models.pool("mixed-json-1")

    answers = expected(bench_models.mixed(), pool)

    assert {array.dtype.kind for array in pool[0].inputs.values()} == {"U", "f", "i"}
    assert len({float(one[0]) for one in answers}) > 8


def test_the_net_for_images_has_four_million_numbers() -> None:
    """Of float32, and it answers ten numbers for an image."""
    content = bench_models.convolutional()

    weights = onnx.load_from_string(content).graph.initializer
    (answer,) = expected(content, bench_models.pool("image-binary-1")[:1])
    assert 3.8e6 < sum(int(np.prod(one.dims)) for one in weights) < 4.2e6
    assert answer.shape == (10,)
