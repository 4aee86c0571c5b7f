"""Triton's own Python client (`tritonclient.http`), unmodified, against the gateway."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.conftest import SharedWorkshop
from tests.support.gateway import Gateway
from tests.support.triton import BINARY_ONLY, VALUES, plain

ROW = np.array([[1, 2, 3]], np.float32)


def _address(url: str) -> str:
    return url.removeprefix("http://")


@pytest.fixture
def client(shared_gateway: Gateway) -> Iterator[Any]:
    """A client of the data port."""
    with closing(triton.InferenceServerClient(_address(shared_gateway.data))) as made:
        yield made


def _input(array: Any, datatype: str, *, name: str = "x", binary: bool = True) -> Any:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_health_and_metadata(client: Any) -> None:
    """The client finds the server alive and ready, and reads what models there are like."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("affine")
    assert client.is_model_ready("versions", "1")
    assert not client.is_model_ready("nobody")
    assert not client.is_model_ready("affine", "9")

    assert client.get_server_metadata()["name"] == "tidegate"
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("affine") == {
        "name": "affine",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
    }
    assert client.get_model_metadata("versions")["versions"] == ["1", "2"]
    assert client.get_model_metadata("versions", "1")["versions"] == ["1"]


def test_configuration_statistics_and_index(client: Any, shared_gateway: Gateway) -> None:
    """What load tools ask for before they start is there, on both ports."""
    config = client.get_model_config("affine")
    assert (config["max_batch_size"], config["backend"]) == (128, "onnxruntime")
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [3]}]
    client.infer("affine", [_input(ROW, "FP32")])

    with closing(triton.InferenceServerClient(_address(shared_gateway.control))) as control:
        for one in (client, control):
            stats = one.get_inference_statistics("affine")["model_stats"]
            assert [(row["name"], row["version"]) for row in stats] == [("affine", "1")]
            everything = one.get_inference_statistics()["model_stats"]
            assert ("versions", "2") in {(row["name"], row["version"]) for row in everything}
            index = one.get_model_repository_index()
            assert {"affine", "versions"} <= {row["name"] for row in index}
            assert {row["state"] for row in index} == {"READY"}


@pytest.mark.parametrize("datatype", VALUES)
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_every_datatype_comes_back_as_it_went(client: Any, datatype: str, binary: bool) -> None:
    """All datatypes go through the client and the gateway unchanged, in both forms."""
    array = VALUES[datatype]
    result = client.infer(
        f"identity-{datatype.lower()}",
        [_input(array, datatype, binary=binary or datatype in BINARY_ONLY)],
        outputs=[triton.InferRequestedOutput("y", binary_data=binary or datatype in BINARY_ONLY)],
    )

    answer = result.as_numpy("y")
    assert answer.shape == array.shape
    assert plain(answer) == plain(array)


def test_text_that_is_not_utf_8_is_refused_by_name(client: Any) -> None:
    """ONNX text is UTF-8: other bytes are an error that names the tensor, never other text."""
    array = np.array([[b"\xff\x00", b"", b""]], np.object_)

    with pytest.raises(InferenceServerException) as caught:
        client.infer("identity-bytes", [_input(array, "BYTES")])

    assert caught.value.status() == "400"
    assert "input 'x'" in caught.value.message()
    assert "UTF-8" in caught.value.message()


def test_id_outputs_and_parameters_are_followed(client: Any) -> None:
    """The id comes back, only the outputs asked for come, each in the form asked for."""
    array = np.array([[1, 2], [3, 4]], np.float32)
    result = client.infer(
        "two-outputs",
        [_input(array, "FP32")],
        request_id="question-1",
        outputs=[triton.InferRequestedOutput("total", binary_data=False)],
        timeout=5_000_000,
    )
    response = result.get_response()

    assert response["id"] == "question-1"
    assert (response["model_name"], response["model_version"]) == ("two-outputs", "1")
    assert [output["name"] for output in response["outputs"]] == ["total"]
    assert response["outputs"][0]["data"] == [3.0, 7.0]
    assert result.as_numpy("double") is None


def test_without_outputs_all_come_in_binary_form(client: Any) -> None:
    """The client's default is every output as bytes."""
    array = np.array([[1, 2], [3, 4]], np.float32)
    result = client.infer("two-outputs", [_input(array, "FP32")])

    assert result.as_numpy("double").tolist() == [[2, 4], [6, 8]]
    assert result.as_numpy("total").tolist() == [3, 7]
    assert result.get_response()["outputs"][0]["parameters"] == {"binary_data_size": 16}


def test_inputs_may_mix_forms_and_come_in_any_order(client: Any) -> None:
    """Binary and JSON inputs of one request find their tensors by name."""
    inputs = [
        _input(np.array([[2.5]], np.float32), "FP32", name="price"),
        _input(np.array([["cup"]], np.object_), "BYTES", name="name", binary=False),
        _input(np.array([[7]], np.int64), "INT64", name="count"),
    ]

    result = client.infer("mixed", inputs)

    assert result.as_numpy("name_out").tolist() == [[b"cup"]]
    assert result.as_numpy("count_out").tolist() == [[7]]
    assert result.as_numpy("price_out").tolist() == [[2.5]]


@pytest.mark.parametrize("request_coding", [None, "gzip", "deflate"])
@pytest.mark.parametrize("response_coding", [None, "gzip", "deflate"])
def test_compression_both_ways(
    client: Any, request_coding: str | None, response_coding: str | None
) -> None:
    """Compressed requests are read, and compressed answers sent where they are asked for."""
    array = np.tile(np.array([[1, 2, 3]], np.float32), (4096, 1))

    result = client.infer(
        "affine",
        [_input(array, "FP32")],
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )

    assert (result.as_numpy("y") == array * 2 + 1).all()


def test_infer_of_a_version(client: Any) -> None:
    """A version in the call is the version that answers."""
    for version, offset in (("1", 1), ("2", 2), ("", 2)):
        result = client.infer("versions", [_input(ROW, "FP32")], model_version=version)
        assert result.as_numpy("y").tolist() == [[2 + offset, 4 + offset, 6 + offset]]


def test_concurrent_requests_of_one_client(shared_gateway: Gateway) -> None:
    """Requests started together on several connections each get their own rows."""
    with closing(
        triton.InferenceServerClient(_address(shared_gateway.data), concurrency=4)
    ) as client:
        rows = [np.full((1, 3), number, np.float32) for number in range(40)]
        started = [client.async_infer("affine", [_input(row, "FP32")]) for row in rows]

        for number, one in enumerate(started):
            assert one.get_result().as_numpy("y").tolist() == [[number * 2 + 1] * 3]


@pytest.mark.parametrize(
    ("model", "version", "array", "datatype", "status", "text"),
    [
        ("nobody", "", ROW, "FP32", "404", "model 'nobody' is not found"),
        ("affine", "9", ROW, "FP32", "404", "model 'affine' has no version '9'"),
        ("affine", "", ROW.astype(np.float64), "FP64", "400", "expects datatype FP32, got FP64"),
        ("affine", "", ROW[:, :2], "FP32", "400", "input 'x'"),
        ("affine", "", ROW[0], "FP32", "400", "input 'x'"),
        ("gather", "", ROW, "FP32", "400", "the model has no input 'x'; its inputs are 'index'"),
    ],
)
def test_errors_are_readable(
    client: Any, model: str, version: str, array: Any, datatype: str, status: str, text: str
) -> None:
    """What the client shows of a failure is our text, and the status is the right one."""
    with pytest.raises(InferenceServerException) as caught:
        client.infer(model, [_input(array, datatype)], model_version=version)

    assert caught.value.status() == status
    assert text in caught.value.message()


def test_errors_of_other_calls_are_readable(client: Any) -> None:
    """Metadata, configuration and statistics of what is not there say so."""
    for ask in (
        client.get_model_metadata,
        client.get_model_config,
        client.get_inference_statistics,
    ):
        with pytest.raises(InferenceServerException, match="model 'nobody' is not"):
            ask("nobody")


def test_load_and_unload(shared_workshop: SharedWorkshop) -> None:
    """The client's repository calls work on the control port, settings included."""
    shop = shared_workshop(workers=2)
    shop.put("loaded", 1, offset=1)
    shop.until_live("loaded", 1)
    with (
        closing(triton.InferenceServerClient(_address(shop.gateway.control))) as control,
        closing(triton.InferenceServerClient(_address(shop.gateway.data))) as data,
    ):
        control.unload_model("loaded")
        assert not data.is_model_ready("loaded")
        control.load_model("loaded", config='{"max_batch_size": 3}')
        assert data.is_model_ready("loaded")
        assert data.get_model_config("loaded")["max_batch_size"] == 3
        control.unload_model("loaded", unload_dependents=True)
        control.load_model("loaded")
        assert data.get_model_config("loaded")["max_batch_size"] == 128

        with pytest.raises(InferenceServerException, match="not in the repository"):
            control.load_model("nobody")
        with pytest.raises(InferenceServerException, match="'file:' is refused"):
            control.load_model("loaded", config="{}", files={"file:1/model.onnx": b"x"})
        with pytest.raises(InferenceServerException, match="on the control port, not here"):
            data.load_model("loaded")
