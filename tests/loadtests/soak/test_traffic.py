"""Requests of the soak, to a server that answers as it is told."""

import time
from collections.abc import Iterator

import pytest

from loadtests.soak.traffic import BAD, LEAVES, LEAVING, every, is_refusal, outcome_of
from loadtests.switches import BODY, adder
from tests.support.asking import ask, data_of
from tests.support.dataplane import InProcessWorker, plan
from tests.support.raw import post


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessWorker]:
    """A worker with the model that the soak asks."""
    folder = tmp_path_factory.mktemp("adder")
    (folder / "adder.onnx").write_bytes(adder(1.0))
    with InProcessWorker(folder, {"adder": plan(folder / "adder.onnx")}) as one:
        yield one


def check_serving(worker: InProcessWorker) -> None:
    """See that a good request is answered right."""
    assert data_of(ask(worker, post("/v2/models/adder/infer", BODY))) == [1.5, 2.5, 3.5]


@pytest.mark.parametrize("name", BAD)
def test_every_class_of_bad_requests_is_refused(worker: InProcessWorker, name: str) -> None:
    """By a real worker; it goes on answering good ones."""
    port = int(worker.url.rsplit(":", 1)[1])

    assert is_refusal(outcome_of(port, BAD[name]))
    check_serving(worker)


@pytest.mark.parametrize("name", LEAVING)
def test_who_leaves_gets_nothing(worker: InProcessWorker, name: str) -> None:
    """And the next one is answered."""
    port = int(worker.url.rsplit(":", 1)[1])

    assert outcome_of(port, LEAVING[name], leaves=True) == LEAVES
    check_serving(worker)


def test_what_is_no_refusal() -> None:
    """An answer, a fault of ours, and nothing at all."""
    assert [is_refusal(one) for one in ("200", "500", "503", "hangs", "404", "closed")] == [
        False,
        False,
        False,
        False,
        True,
        True,
    ]


def test_something_is_done_now_and_then() -> None:
    """At once, and again after each pause."""
    done: list[int] = []
    every(0.05, time.monotonic() + 0.12, done.append)

    assert done[0] == 0
    assert done == list(range(len(done)))
