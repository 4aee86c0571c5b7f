"""The workloads for those who use locust, every answer checked.

    pip install locust
    make serve
    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --headless -u 16 -r 16 -t 30s

TIDEGATE_WORKLOAD names what is sent, `digits-json-1` by default, which the example models answer;
others need the model of that name (`bench_models.write_repository`). TIDEGATE_RATE is requests a
second of each user; without it, a user asks again when it is answered. Locust's own cost is some
hundred microseconds a request: for what a request costs the gateway, use `python -m loadtests run`.
"""

import os
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, constant, constant_throughput

# Locust runs this file by itself; what it needs lies beside it.
sys.path.insert(0, str(Path(__file__).parents[1]))

from loadtests import bench_models
from loadtests.peers.base import Request
from loadtests.proof.checking import Asked, expected, last_output

POOL = bench_models.pool(os.environ.get("TIDEGATE_WORKLOAD", "digits-json-1"))
MODEL = POOL[0].model
ASKED = Asked(
    0,  # Locust's --host says where.
    [Request(f"/v2/models/{MODEL}/infer", *one.body()) for one in POOL],
    last_output,
    expected(bench_models.MODELS[MODEL](), POOL),
)
RATE = float(os.environ.get("TIDEGATE_RATE", "0"))


def predict(user: "Caller") -> None:
    """Ask for one prediction; an answer with other numbers than onnxruntime's is a failure."""
    number = next(user.turns)
    request = ASKED.requests[number]
    with user.client.post(
        request.path, data=request.body, headers=dict(request.headers), catch_response=True
    ) as answer:
        problem = ASKED.judge(
            number, answer.status_code, dict(answer.headers or {}), answer.content or b""
        )
        if problem:
            answer.failure(problem)
        else:
            answer.success()


class Caller(FastHttpUser):  # type: ignore[misc]  # locust has no types, and need not be there
    """One caller, on a connection of its own."""

    tasks = (predict,)
    wait_time = constant_throughput(RATE) if RATE else constant(0)

    def on_start(self) -> None:
        """Begin with the first request."""
        self.turns: Iterator[int] = cycle(range(len(ASKED.requests)))


# Locust counts its run time from the loop's clock, which has stood while this file was imported.
gevent.get_hub().loop.update_now()
