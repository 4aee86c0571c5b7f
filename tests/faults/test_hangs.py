"""Models that hang: callers hear in time, the thread comes back or its worker is replaced."""

import time

from server.dataplane.hangs import EXIT_HUNG
from tests.support.clients import ROW, listeners
from tests.support.gateway import Gateway, Reply, eventually, is_running

ENDLESS = 2**60
FOR_LONG = 120_000
"""So many boxes take the kernel the better part of a minute, on a quick machine too."""


def ask(gateway: Gateway, model: str, number: int, timeout_seconds: float = 60) -> Reply:
    """Ask a model how far to count."""
    tensor = {"name": "x", "datatype": "INT64", "shape": [1, 1], "data": [number]}
    return gateway.infer(model, [tensor], X_Request_Timeout_Ms=str(round(timeout_seconds * 1000)))


def check_good(gateway: Gateway) -> None:
    """See that the others are as they were."""
    answer = gateway.infer("good", ROW)
    assert (answer.status, answer.json["outputs"][0]["data"]) == (200, [3.0, 5.0, 7.0])


def test_an_endless_loop_is_answered_at_its_deadline_and_the_thread_comes_back(
    faulty_gateway: Gateway,
) -> None:
    """504 `deadline_run`, not before the deadline; the same worker answers the next one."""
    workers = faulty_gateway.workers()
    started = time.monotonic()
    late = ask(faulty_gateway, "loops", ENDLESS, timeout_seconds=1.5)
    assert time.monotonic() - started >= 1.5
    assert (late.status, late.json["code"]) == (504, "deadline_run")
    assert late.json["error"] == "the deadline passed while the model ran"

    check_good(faulty_gateway)
    for number in (1, 7, 20):
        assert ask(faulty_gateway, "loops", number).json["outputs"][0]["data"] == [number]
    assert faulty_gateway.workers() == workers


def test_a_model_that_hangs_on_the_event_loop_gives_it_back(faulty_gateway: Gateway) -> None:
    """A quick model runs on the loop after its first answers; its hang costs its worker a second.

    Its caller gets 504, and from then on it runs on a thread: the loop is free at once.
    """
    workers = faulty_gateway.workers()
    for _ in range(40):  # Both workers have had some, each on a connection of its own.
        assert ask(faulty_gateway, "loops", 2).status == 200
    late = ask(faulty_gateway, "loops", ENDLESS)
    assert (late.status, late.json["code"]) == (504, "deadline_run")
    assert late.json["error"].startswith("the model was broken off")
    assert {line["model"] for line in faulty_gateway.logged("model_hung")} == {"loops"}

    check_good(faulty_gateway)
    assert ask(faulty_gateway, "loops", 3).json["outputs"][0]["data"] == [3]
    assert faulty_gateway.workers() == workers


def test_a_kernel_that_does_not_stop_has_its_worker_replaced(faulty_gateway: Gateway) -> None:
    """Its caller hears at the deadline; the worker serves the others until the next one does."""
    before = faulty_gateway.workers()
    late = ask(faulty_gateway, "kernel", FOR_LONG, timeout_seconds=1.0)
    assert (late.status, late.json["code"]) == (504, "deadline_run")

    (replaced,) = eventually(lambda: faulty_gateway.logged("replaced"))
    assert replaced["how"] == f"exit code {EXIT_HUNG}"
    assert len([pid for pid in before if not is_running(pid)]) == 1
    lost = [line for line in faulty_gateway.logged("model_hung") if line["thread_lost"]]
    assert [(line["model"], line["version"]) for line in lost] == [("kernel", "1")]
    assert not faulty_gateway.logged("ended")
    assert listeners(faulty_gateway.data) == len(faulty_gateway.workers()) == 2
    check_good(faulty_gateway)
    assert ask(faulty_gateway, "kernel", 3).status == 200
