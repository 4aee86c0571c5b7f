"""What locust sends is the workload, and a wrong answer is a failure."""

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import pytest

from loadtests import bench_models


class FakeUser:
    """Stands for locust's user."""


class FakeAnswer:
    """Stands for locust's response: a block in which its request is judged."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self.headers: dict[str, str] = {}
        self.content = body
        self.said: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Keep what was said."""

    def failure(self, problem: str) -> None:
        self.said.append(problem)

    def success(self) -> None:
        self.said.append("")


@pytest.fixture
def locustfile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield the file, imported as locust does; locust itself is not needed."""
    fake = ModuleType("locust")
    members: dict[str, Callable[..., object]] = {
        "FastHttpUser": FakeUser,
        "constant": lambda seconds: seconds,
        "constant_throughput": lambda rate: rate,
    }
    fake.__dict__.update(members)
    monkeypatch.setitem(sys.modules, "locust", fake)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield importlib.import_module("loadtests.locustfile")
    del sys.modules["loadtests.locustfile"]


def test_callers_send_the_requests_of_the_pool_in_turn(locustfile: Any) -> None:
    """By default those of the digits, which the example models answer."""
    sent: list[tuple[str, bytes]] = []

    def post(path: str, *, data: bytes, **_: object) -> FakeAnswer:
        sent.append((path, data))
        return FakeAnswer(b"{}")

    user = locustfile.Caller()
    user.on_start()
    user.client = SimpleNamespace(post=post)
    for _ in range(2):
        locustfile.predict(user)

    pool = bench_models.pool("digits-json-1")
    assert sent == [("/v2/models/digits/infer", one.body()[0]) for one in pool[:2]]


def test_right_answers_succeed_and_wrong_ones_fail(locustfile: Any) -> None:
    """An answer with another request's numbers is wrong."""
    right = {"outputs": [{"data": locustfile.ASKED.expected[0].tolist()}]}
    answer = FakeAnswer(json.dumps(right).encode())
    user = locustfile.Caller()
    user.on_start()
    user.client = SimpleNamespace(post=lambda *_, **__: answer)
    for _ in range(2):
        locustfile.predict(user)

    assert answer.said[0] == ""
    assert answer.said[1].startswith("request 1 is answered")
