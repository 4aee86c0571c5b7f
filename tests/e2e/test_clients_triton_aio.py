"""Triton's asynchronous client (`tritonclient.http.aio`), unmodified, against the gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.support.gateway import Gateway
from tests.support.triton import VALUES, plain

ROW = np.array([[1, 2, 3]], np.float32)


def _run(gateway: Gateway, ask: Callable[[Any], Awaitable[None]]) -> None:
    """Run a conversation with the data port."""

    async def converse() -> None:
        client = triton_aio.InferenceServerClient(gateway.data.removeprefix("http://"))
        try:
            await ask(client)
        finally:
            await client.close()

    asyncio.run(converse())


def _input(array: Any, datatype: str, *, binary: bool = True) -> Any:
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_everything_but_inference(shared_gateway: Gateway) -> None:
    """Health, metadata, configuration, statistics and index come uncompressed, as it needs them.

    This client offers gzip with every call and undoes it only for inferences.
    """

    async def ask(client: Any) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("affine")
        assert not await client.is_model_ready("nobody")
        assert (await client.get_server_metadata())["name"] == "tidegate"
        assert (await client.get_model_metadata("affine"))["versions"] == ["1"]
        assert (await client.get_model_config("affine"))["name"] == "affine"
        stats = await client.get_inference_statistics()
        assert len(stats["model_stats"]) > 20
        assert len(await client.get_model_repository_index()) > 20

    _run(shared_gateway, ask)


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_comes_back_as_it_went(shared_gateway: Gateway, datatype: str) -> None:
    """All datatypes go through the client unchanged."""

    async def ask(client: Any) -> None:
        array = VALUES[datatype]
        result = await client.infer(f"identity-{datatype.lower()}", [_input(array, datatype)])
        assert plain(result.as_numpy("y")) == plain(array)

    _run(shared_gateway, ask)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compression_both_ways(shared_gateway: Gateway, coding: str) -> None:
    """Compressed requests and answers are understood on both sides."""

    async def ask(client: Any) -> None:
        array = np.tile(ROW, (4096, 1))
        result = await client.infer(
            "affine",
            [_input(array, "FP32")],
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        assert (result.as_numpy("y") == array * 2 + 1).all()

    _run(shared_gateway, ask)


def test_many_requests_at_once(shared_gateway: Gateway) -> None:
    """Requests that share batches each get their own rows and their own id."""

    async def ask(client: Any) -> None:
        results = await asyncio.gather(
            *(
                client.infer(
                    "affine",
                    [_input(np.full((1, 3), number, np.float32), "FP32", binary=number % 2 == 0)],
                    request_id=f"r{number}",
                )
                for number in range(60)
            )
        )
        for number, result in enumerate(results):
            assert result.get_response()["id"] == f"r{number}"
            assert result.as_numpy("y").tolist() == [[number * 2 + 1] * 3]

    _run(shared_gateway, ask)


def test_errors_are_readable(shared_gateway: Gateway) -> None:
    """What the client shows of a failure is our text."""

    async def ask(client: Any) -> None:
        with pytest.raises(InferenceServerException) as caught:
            await client.infer("nobody", [_input(ROW, "FP32")])
        assert caught.value.message() == "model 'nobody' is not found"
        with pytest.raises(InferenceServerException) as caught:
            await client.infer("affine", [_input(ROW[:, :2], "FP32")])
        assert "input 'x'" in caught.value.message()
        with pytest.raises(InferenceServerException) as caught:
            await client.get_model_metadata("nobody")
        assert caught.value.message() == "model 'nobody' is not found"

    _run(shared_gateway, ask)
