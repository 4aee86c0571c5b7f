"""KServe's Python client (`InferenceRESTClient`), unmodified, against the gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import numpy as np
import pytest
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.support.gateway import Gateway

ROW = np.array([[1, 2, 3]], np.float32)


def _run(ask: Callable[[Any], Awaitable[None]], protocol: str = "v2") -> None:
    """Run a conversation."""

    async def converse() -> None:
        client = InferenceRESTClient(RESTConfig(protocol=protocol))
        try:
            await ask(client)
        finally:
            await client.close()

    asyncio.run(converse())


def _request(model: str, array: Any, datatype: str, *, binary: bool, **more: Any) -> InferRequest:
    tensor = InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model, [tensor], request_id="question-1", **more)


def test_health(shared_gateway: Gateway) -> None:
    """The client reads liveness and readiness from the bodies of the answers."""

    async def ask(client: Any) -> None:
        url = shared_gateway.data
        assert await client.is_server_live(url) is True
        assert await client.is_server_ready(url) is True
        assert await client.is_model_ready(url, "affine") is True
        assert await client.is_model_ready(url, "nobody") is False

    async def ask_v1(client: Any) -> None:
        assert await client.is_model_ready(shared_gateway.data, "affine") is True
        with pytest.raises(httpx.HTTPStatusError, match="model 'nobody' is not found, '404"):
            await client.is_model_ready(shared_gateway.data, "nobody")

    _run(ask)
    _run(ask_v1, protocol="v1")


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize(
    ("datatype", "array"),
    [
        ("FP32", np.array([[0.5, -1, 3]], np.float32)),
        ("INT64", np.array([[-(2**63), 0, 2**63 - 1]], np.int64)),
        ("BOOL", np.array([[True, False, True]])),
        ("BYTES", np.array([["a", "grün", ""]], np.object_)),
    ],
)
def test_tensors_come_back_as_they_went(
    shared_gateway: Gateway, datatype: str, array: Any, binary: bool
) -> None:
    """Requests of the client's own classes are read, and its classes read the answers."""

    async def ask(client: Any) -> None:
        model = f"identity-{datatype.lower()}"
        answer = await client.infer(
            shared_gateway.data,
            _request(model, array, datatype, binary=binary),
            model_name=model,
        )
        assert (answer.model_name, answer.id) == (model, "question-1")
        got = answer.outputs[0].as_numpy()
        assert got.shape == array.shape
        assert [v.decode() if isinstance(v, bytes) else v for v in got.ravel()] == list(
            array.ravel()
        )

    _run(ask)


def test_half_precision_comes_back_in_binary_form(shared_gateway: Gateway) -> None:
    """FP16, which the client refuses to put into JSON, goes both ways as bytes."""

    async def ask(client: Any) -> None:
        array = np.array([[0.5, -65504, 6e-8]], np.float16)
        request = _request(
            "identity-fp16",
            array,
            "FP16",
            binary=True,
            request_outputs=[RequestedOutput("y", {"binary_data": True})],
        )
        answer = await client.infer(shared_gateway.data, request, model_name="identity-fp16")
        assert answer.outputs[0].as_numpy().tolist() == array.tolist()

    _run(ask)


def test_a_plain_dictionary_is_a_request_too(shared_gateway: Gateway) -> None:
    """What the client's documentation shows first works."""

    async def ask(client: Any) -> None:
        body = {
            "inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": ROW.tolist()}]
        }
        answer = await client.infer(shared_gateway.data, body, model_name="affine")
        assert answer.outputs[0].data == [3.0, 5.0, 7.0]

    _run(ask)


def test_predictions_of_the_first_protocol(shared_gateway: Gateway) -> None:
    """The client's V1 mode works: instances in, predictions out."""

    async def ask(client: Any) -> None:
        answer = await client.infer(
            shared_gateway.data, {"instances": ROW.tolist()}, model_name="affine"
        )
        assert answer == {"predictions": [[3.0, 5.0, 7.0]]}

    _run(ask, protocol="v1")


def test_a_large_answer_is_compressed_for_it(shared_gateway: Gateway) -> None:
    """The client offers gzip, and reads a large answer all the same."""

    async def ask(client: Any) -> None:
        array = np.tile(ROW * 1111, (4096, 1))
        headers: dict[str, str] = {}
        answer = await client.infer(
            shared_gateway.data,
            _request("affine", array, "FP32", binary=False),
            model_name="affine",
            response_headers=headers,
        )
        assert headers["content-encoding"] == "gzip"
        assert (answer.outputs[0].as_numpy() == array * 2 + 1).all()

    _run(ask)


@pytest.mark.parametrize(
    ("model", "array", "text"),
    [
        ("nobody", ROW, "model 'nobody' is not found, '404 Not Found'"),
        ("affine", ROW[:, :2], "input 'x'"),
    ],
)
def test_errors_are_readable(shared_gateway: Gateway, model: str, array: Any, text: str) -> None:
    """What the client shows of a failure is our text."""

    async def ask(client: Any) -> None:
        request = _request(model, array, "FP32", binary=False)
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client.infer(shared_gateway.data, request, model_name=model)
        assert text in str(caught.value)

    _run(ask)
