"""A worker that takes more memory than it may has another one take its place."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from tests.conftest import StartGateway
from tests.support import models
from tests.support.clients import ROW, asking
from tests.support.gateway import Gateway, eventually

LARGE_VALUES = 24 << 20
"""Numbers of four bytes: more than a quarter of what a worker takes without them."""


def large() -> bytes:
    """Return a model with a lot of weights, all zero, of which each row takes some.

    Which ones depends on the row, or they would be worked out when the model is opened.
    """
    kind = models.FLOAT
    return models.model(
        [
            helper.make_node("Mul", ["x", "zero"], ["first"]),
            helper.make_node("Cast", ["first"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["weights", "place"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        [models.tensor("x", kind, ("N", 3))],
        [models.tensor("y", kind, ("N", 3))],
        {"weights": np.zeros(LARGE_VALUES, np.float32), "zero": np.zeros(1, np.float32)},
    )


def test_a_worker_that_has_grown_is_replaced_once_and_nobody_is_refused(
    start: StartGateway, repository: Path
) -> None:
    """The one worker there is serves until its successor does, which begins with what it needs."""
    models.put(repository, "a", 1, models.affine())
    with start(worker_memory_bytes=1) as gateway:
        first = gateway.workers()
        with asking(gateway, "a") as seen:
            eventually(lambda: seen.answers)
            assert gateway.workers() == first
            models.put(repository, "large", 1, large())
            (replaced,) = eventually(lambda: gateway.logged("replaced"))
        assert set(seen.answers) == {200}
        assert replaced["how"] == "exit code 0"
        assert "bytes of memory" in gateway.logged("replacing")[0]["why"]
        assert gateway.workers() != first
        assert eventually(lambda: large_answer(gateway)) == [1.0, 2.0, 3.0]
        assert gateway.metric('tidegate_worker_restarts_total{worker="0"}') == 1
        assert len(gateway.logged("replacing")) == 1


def large_answer(gateway: Gateway) -> list[float]:
    """Return what the large model answers."""
    data: list[float] = gateway.infer("large", ROW).json["outputs"][0]["data"]
    return data
