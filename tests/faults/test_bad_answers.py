"""Models that raise or answer NaN: what their callers get, and that nobody else notices."""

import threading
from collections.abc import Callable

import pytest

from tests.support.clients import ROW
from tests.support.gateway import Gateway, Reply, call, eventually

ROOTS = [[4.0, 9.0, 16.0]]


def index(gateway: Gateway, number: int) -> Reply:
    """Ask the table for a row."""
    tensor = {"name": "index", "datatype": "INT64", "shape": [1], "data": [number]}
    return gateway.infer("raises", [tensor])


def at_once(*asks: Callable[[], Reply]) -> list[Reply]:
    """Ask all at the same time, so that some share batches; return the answers in order."""
    replies: dict[int, Reply] = {}

    def run(place: int, ask: Callable[[], Reply]) -> None:
        replies[place] = ask()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(asks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [replies[place] for place in range(len(asks))]


def check_unharmed(gateway: Gateway) -> None:
    """See that the gateway is healthy, and that good answers are what they were, bit for bit."""
    assert call(gateway.data + "/v2/health/live").status == 200
    # A worker that has no core for ten seconds is unready until it was asked again.
    eventually(lambda: call(gateway.data + "/v2/health/ready").status == 200)
    assert gateway.infer("good", ROW).json["outputs"][0]["data"] == [3.0, 5.0, 7.0]
    assert index(gateway, 3).json["outputs"][0]["data"] == [6.0, 7.0]
    assert gateway.infer("nan", ROOTS).json["outputs"][0]["data"] == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("number", [99, -99, 2**62])
def test_a_model_that_raises_costs_its_caller_an_error(
    faulty_gateway: Gateway, number: int
) -> None:
    """500 `model_error`, without ONNX Runtime's words, which quote the input."""
    answer = index(faulty_gateway, number)
    assert (answer.status, answer.json["code"]) == (500, "model_error")
    assert answer.json["error"] == "the model failed on this input"
    check_unharmed(faulty_gateway)


def test_nan_is_refused_by_name_and_never_becomes_null(faulty_gateway: Gateway) -> None:
    """500 `non_finite_output`; rows of other callers are bit-equal to what they are alone."""
    answer = faulty_gateway.infer("nan", [[-1.0, 4.0, 9.0]])
    assert (answer.status, answer.json["code"]) == (500, "non_finite_output")
    assert b"null" not in answer.body
    check_unharmed(faulty_gateway)


def test_neighbours_of_a_bad_row_get_what_they_get_alone(faulty_gateway: Gateway) -> None:
    """Every second caller of both models is a bad one; batches form as they may."""
    gateway = faulty_gateway
    asks = [
        ask
        for _ in range(8)
        for ask in (
            lambda: index(gateway, 99),
            lambda: index(gateway, 1),
            lambda: gateway.infer("nan", [[-1.0, -1.0, -1.0]]),
            lambda: gateway.infer("nan", ROOTS),
        )
    ]
    replies = at_once(*asks)
    assert {reply.json.get("code") for reply in replies[0::4]} == {"model_error"}
    assert {reply.json.get("code") for reply in replies[2::4]} == {"non_finite_output"}
    for reply in replies[1::4]:
        assert reply.json["outputs"][0]["data"] == [2.0, 3.0]
    for reply in replies[3::4]:
        assert reply.json["outputs"][0]["data"] == [2.0, 3.0, 4.0]
    check_unharmed(gateway)
