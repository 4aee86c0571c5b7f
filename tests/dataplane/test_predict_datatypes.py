"""Every datatype of the protocol through a real model, in JSON and in binary, both ways."""

import json
import struct
import zlib
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from server.tensors import DATATYPES
from tests.support.asking import AFFINE, affine_data, ask, data_of, error_of, infer_body
from tests.support.dataplane import InProcessWorker
from tests.support.raw import RawAnswer, post

VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False, True],
    "UINT8": [0, 1, 255],
    "UINT16": [0, 1, 65535],
    "UINT32": [0, 1, 2**32 - 1],
    "UINT64": [0, 2**53 + 1, 2**64 - 1],
    "INT8": [-128, 0, 127],
    "INT16": [-(2**15), 0, 2**15 - 1],
    "INT32": [-(2**31), 0, 2**31 - 1],
    "INT64": [-(2**63), 2**53 + 1, 2**63 - 1],
    "FP16": [-65504, 0.25, 0.0009765625],
    "FP32": [0.1, -3.4028235e38, 1e-45],
    "FP64": [0.1, -1.7976931348623157e308, 5e-324],
    "BF16": [1.5, -256, 0.0078125],
    "BYTES": ["", "grün \N{WATER WAVE}\0", '"\\'],
}


def binary_request(
    path: str, raw: bytes, shape: list[int], datatype: str, *headers: str, name: str = "x"
) -> bytes:
    """Return a request with one binary input, which asks for binary outputs."""
    tensor = {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    length = f"Inference-Header-Content-Length: {len(head)}"
    return post(path, head + raw, length, *headers)


def binary_data(answer: RawAnswer) -> bytes:
    """Return the bytes behind the JSON of an answer with one binary output."""
    assert answer.status == 200, answer.body
    assert answer.header("content-type") == "application/octet-stream"
    length = int(answer.header("inference-header-content-length") or -1)
    (output,) = json.loads(answer.body[:length])["outputs"]
    raw = answer.body[length:]
    assert output["parameters"] == {"binary_data_size": len(raw)}
    assert "data" not in output
    return raw


def packed(texts: list[str]) -> bytes:
    """Return strings as the binary extension carries them."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)


def path_of(datatype: str) -> str:
    return f"/v2/models/identity-{datatype.lower()}/infer"


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@pytest.mark.parametrize("shape", ["flat", "nested"])
def test_json_comes_back_as_it_went_in(worker: InProcessWorker, datatype: str, shape: str) -> None:
    """Numbers at the borders of each datatype, and text, survive JSON both ways exactly."""
    values = VALUES[datatype]
    data = [values, values] if shape == "nested" else values + values
    tensor = {"name": "x", "datatype": datatype, "shape": [2, 3], "data": data}
    answer = ask(worker, post(path_of(datatype), json.dumps({"inputs": [tensor]}).encode()))

    assert data_of(answer) == values + values
    (output,) = json.loads(answer.body)["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("y", datatype, [2, 3])


@pytest.mark.parametrize("datatype", sorted(DATATYPES.keys() - {"BYTES", "BOOL"}))
def test_any_bits_come_back_in_binary(worker: InProcessWorker, datatype: str) -> None:
    """Binary tensors are bit-exact, NaN payloads and negative zeros included."""
    size = 4 * 3 * DATATYPES[datatype].item_bytes
    raw = np.random.default_rng(7).bytes(size)
    answer = ask(worker, binary_request(path_of(datatype), raw, [4, 3], datatype))

    assert binary_data(answer) == raw


def test_booleans_and_text_come_back_in_binary(worker: InProcessWorker) -> None:
    """BOOL is a byte of 0 or 1, BYTES a length and UTF-8, both ways."""
    texts = packed(VALUES["BYTES"])
    answer = ask(worker, binary_request(path_of("BYTES"), texts, [1, 3], "BYTES"))
    assert binary_data(answer) == texts

    answer = ask(worker, binary_request(path_of("BOOL"), b"\1\0\1", [1, 3], "BOOL"))
    assert binary_data(answer) == b"\1\0\1"


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
    rows=st.lists(
        st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=3, max_size=3),
        min_size=1,
        max_size=20,
    )
)
def test_any_text_comes_back(worker: InProcessWorker, rows: list[list[str]]) -> None:
    """Text of any characters and any number of rows is the same after the model, both ways."""
    flat = [text for row in rows for text in row]
    shape = [len(rows), 3]
    tensor = {"name": "x", "datatype": "BYTES", "shape": shape, "data": rows}
    answer = ask(worker, post(path_of("BYTES"), json.dumps({"inputs": [tensor]}).encode()))
    assert data_of(answer) == flat

    answer = ask(worker, binary_request(path_of("BYTES"), packed(flat), shape, "BYTES"))
    assert binary_data(answer) == packed(flat)


def test_columns_of_different_kinds_in_one_request(worker: InProcessWorker) -> None:
    """Text in JSON and numbers in binary, in another order than the model's, make one request."""
    counts = np.array([[2**62], [-1], [0]], "<i8").tobytes()
    inputs = [
        {
            "name": "count",
            "datatype": "INT64",
            "shape": [3, 1],
            "parameters": {"binary_data_size": len(counts)},
        },
        {"name": "price", "datatype": "FP32", "shape": [3, 1], "data": [0.1, 2, 3.5]},
        {"name": "name", "datatype": "BYTES", "shape": [3, 1], "data": [["a"], ["ß"], [""]]},
    ]
    outputs = [{"name": "price_out", "parameters": {"binary_data": True}}, {"name": "name_out"}]
    head = json.dumps({"id": "m", "inputs": inputs, "outputs": outputs}).encode()
    length = f"Inference-Header-Content-Length: {len(head)}"
    answer = ask(worker, post("/v2/models/mixed/infer", head + counts, length))

    assert answer.status == 200, answer.body
    size = int(answer.header("inference-header-content-length") or -1)
    document = json.loads(answer.body[:size])
    said = [document[key] for key in ("model_name", "model_version", "id")]
    assert said == ["mixed", "1", "m"]
    name, price = document["outputs"]
    assert (name["name"], name["data"]) == ("name_out", ["a", "ß", ""])
    assert (price["name"], price["parameters"]) == ("price_out", {"binary_data_size": 12})
    assert answer.body[size:] == np.array([0.1, 2, 3.5], "<f4").tobytes()


def test_a_raw_request_is_the_bytes_alone(worker: InProcessWorker) -> None:
    """With a JSON length of 0, the body is one row of the only input, and the answer binary."""
    raw = np.array([1.5, -2, 3], "<f4").tobytes()
    answer = ask(worker, post(AFFINE, raw, "Inference-Header-Content-Length: 0"))
    assert np.frombuffer(binary_data(answer), "<f4").tolist() == [4, -3, 7]

    short = ask(worker, post(AFFINE, raw[:-1], "Inference-Header-Content-Length: 0"))
    assert error_of(short) == (400, "invalid_input")
    assert b"expected 12 bytes" in short.body

    several = ask(worker, post("/v2/models/mixed/infer", raw, "Inference-Header-Content-Length: 0"))
    assert error_of(several) == (400, "bad_binary")


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("is_binary", [True, False])
def test_bodies_are_compressed_both_ways(
    worker: InProcessWorker, coding: str, *, is_binary: bool
) -> None:
    """A compressed request is understood, and a large answer compressed if that is accepted.

    The JSON length is that of the uncompressed form both ways, as Triton's client has it.
    """
    bits = 31 if coding == "gzip" else 15
    rows = [[row, 0.5, -row] for row in range(20)]
    raw = np.array(rows, "<f4").tobytes()
    plain = post(AFFINE, infer_body(rows))
    if is_binary:
        plain = binary_request(AFFINE, raw, [20, 3], "FP32")
    head, _, body = plain.partition(b"\r\n\r\n")
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    smaller = packer.compress(body) + packer.flush()
    kept = [line.decode() for line in head.split(b"\r\n")[3:]]
    request = post(
        AFFINE, smaller, *kept, f"Content-Encoding: {coding}", f"Accept-Encoding: {coding}"
    )
    answer = ask(worker, request)

    assert answer.status == 200, answer.body
    assert (answer.header("content-encoding"), answer.header("vary")) == (coding, "accept-encoding")
    unfolded = RawAnswer(200, answer.head, zlib.decompress(answer.body, bits))
    if is_binary:
        expected = (np.array(rows, "<f4") * 2 + 1).tobytes()
        assert binary_data(unfolded) == expected
    else:
        assert data_of(unfolded) == affine_data(rows)


@pytest.mark.parametrize(
    ("coding", "body", "status", "code"),
    [
        ("br", infer_body([[1, 2, 3]]), 415, "unsupported_encoding"),
        ("gzip", infer_body([[1, 2, 3]]), 400, "bad_http"),
        ("gzip", zlib.compress(b"{}", wbits=31)[:-1], 400, "bad_http"),
        ("deflate", zlib.compress(b"{}") + b"x", 400, "bad_http"),
    ],
)
def test_other_codings_are_refused(
    worker: InProcessWorker, coding: str, body: bytes, status: int, code: str
) -> None:
    """An unknown coding is 415 and names the known ones; a broken stream is 400."""
    answer = ask(worker, post(AFFINE, body, f"Content-Encoding: {coding}"))

    assert error_of(answer) == (status, code)
    assert answer.header("accept-encoding") == ("gzip, deflate" if status == 415 else None)


def test_identity_is_no_coding(worker: InProcessWorker) -> None:
    """A body that says it is not encoded is read as it is."""
    answer = ask(worker, post(AFFINE, infer_body([[1, 2, 3]]), "Content-Encoding: identity"))
    assert data_of(answer) == [3, 5, 7]


def test_small_answers_stay_as_they_are(worker: InProcessWorker) -> None:
    """An answer below the limit is not compressed, whoever would accept it."""
    answer = ask(worker, post(AFFINE, infer_body([[1, 2, 3]]), "Accept-Encoding: gzip"))
    assert answer.header("content-encoding") is None
    assert data_of(answer) == [3, 5, 7]
