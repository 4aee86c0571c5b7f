"""Who waits for a version that is rolled back gets an answer from the one that follows."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.release.route import Canary, ReleaseRoute
from server.wire.desired import DesiredState, ModelPlan, VersionPlan
from tests.support import models
from tests.support.asking import check_nothing_left, data_of, infer_body
from tests.support.batches import Gate, opened
from tests.support.canaries import a_canary
from tests.support.dataplane import InProcessWorker, plan
from tests.support.gateway import eventually
from tests.support.raw import RawConnection, connected, post

UNNAMED, NAMED = "/v2/models/m/infer", "/v2/models/m/versions/2/infer"
BODY = infer_body([[1.0, 2.0, 3.0]])


class Bench:
    """A worker whose version 2 answers when it is let through, one row at a time."""

    def __init__(self, worker: InProcessWorker, gate: Gate, plans: dict[str, VersionPlan]) -> None:
        self.worker = worker
        self.gate = gate
        self._plans = plans

    def want(self, generation: int, live: str, canary: Canary | None = None) -> None:
        """Have another version answer."""
        release = ReleaseRoute("m", generation, live=live, canary=canary)
        plan = ModelPlan(live, self._plans, release=release)
        self.worker.on_loop(self.worker.worker.loader.want, DesiredState(generation, {"m": plan}))

    def queued(self, version: str) -> int:
        """Return how many rows wait for a version."""
        return int(self._served(version).batcher.queued_rows)

    def hang(self) -> None:
        """From now on, version 2 waits to be let through."""
        eventually(lambda: len(self.worker.worker.loader.loaded) == len(self._plans))
        self._served("2").batcher._session = self.gate

    def _served(self, version: str) -> Any:
        return self.worker.worker.loader.loaded["m", version]


@contextlib.contextmanager
def bench(folder: Path, first: bytes = b"", **settings: Any) -> Iterator[Bench]:
    """Run a worker with two versions, of which the second is live and hangs.

    `settings` are those of version 1, which adds 1 and not 2.
    """
    gate = opened(folder, models.affine(offset=2), Gate)
    paths = {"1": folder / "one.onnx", "2": folder / "model.onnx"}
    paths["1"].write_bytes(first or models.affine(offset=1))
    plans = {"1": plan(paths["1"], **settings)}
    plans["2"] = plan(paths["2"], execution="thread", max_rows=1)
    with InProcessWorker(folder, {}, workers=1) as worker:
        made = Bench(worker, gate, plans)
        made.want(2, "2")
        made.hang()
        try:
            yield made
        finally:
            gate.let_through(1000)


def asked(stack: contextlib.ExitStack, bench: Bench, *paths: str) -> list[RawConnection]:
    """Ask one after another; return the connections, which all wait for an answer."""
    clients = []
    for number, path in enumerate(paths):
        client = stack.enter_context(connected(bench.worker.url))
        client.send(post(path, BODY))
        clients.append(client)
        until_queued(bench, number)  # One runs, the others wait.
    return clients


def until_queued(bench: Bench, rows: int) -> None:
    """Wait until so many rows wait for version 2."""
    eventually(lambda: bench.queued("2") == rows)


def answer_of(client: RawConnection) -> tuple[float, str | None, str | None]:
    """Return what was added, and who says to have done it, in which generation."""
    answer = client.read()
    version, generation = answer.header("x-model-version"), answer.header("x-release-generation")
    return data_of(answer)[0] - 2.0, version, generation


def test_who_waits_is_answered_by_the_version_that_follows(tmp_path: Path) -> None:
    """Only what runs already, and who named the version, waits for the one that hangs."""
    with bench(tmp_path) as made:
        with contextlib.ExitStack() as stack:
            running, first, named, second = asked(stack, made, UNNAMED, UNNAMED, NAMED, UNNAMED)

            made.want(3, "1")

            assert [answer_of(client) for client in (first, second)] == [(1.0, "1", "3")] * 2
            assert made.queued("2") == 1
            made.gate.let_through(2)
            assert [answer_of(client) for client in (running, named)] == [(2.0, "2", "2")] * 2
        check_nothing_left(made.worker)


def test_who_waits_for_a_canary_that_ends_is_answered_by_the_live_version(tmp_path: Path) -> None:
    """The share of the canary goes back where it came from."""
    with bench(tmp_path) as made, contextlib.ExitStack() as stack:
        made.want(3, "1", a_canary("2", 10_000, "salt"))
        running, waiting = asked(stack, made, UNNAMED, UNNAMED)

        made.want(4, "1")

        assert answer_of(waiting) == (1.0, "1", "4")
        made.gate.let_through()
        assert answer_of(running) == (2.0, "2", "3")


def test_who_waits_stays_while_the_version_goes_on_answering(tmp_path: Path) -> None:
    """A live version that gets a canary beside it loses nobody."""
    with bench(tmp_path) as made, contextlib.ExitStack() as stack:
        clients = asked(stack, made, UNNAMED, UNNAMED)
        made.want(3, "2", a_canary("1", 10_000, "salt"))

        assert made.queued("2") == 1
        made.gate.let_through(2)
        assert [answer_of(client)[0] for client in clients] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("first", "settings"),
    [
        (models.affine(dims=("N", "M")), {}),
        (b"", {"max_request_rows": 7}),
    ],
    ids=["other shapes", "other limits"],
)
def test_who_would_be_read_otherwise_stays(
    tmp_path: Path, first: bytes, settings: dict[str, Any]
) -> None:
    """A request was read by the rules of one version; those of the other are not the same."""
    with bench(tmp_path, first, **settings) as made, contextlib.ExitStack() as stack:
        clients = asked(stack, made, UNNAMED, UNNAMED)
        made.want(3, "1")

        made.gate.let_through(2)
        assert [answer_of(client)[1] for client in clients] == ["2", "2"]


def test_nobody_moves_into_a_full_queue(tmp_path: Path) -> None:
    """Those that fit move, the others keep their place."""
    limits: dict[str, Any] = {"queue_rows": 2, "max_request_rows": 2, "execution": "thread"}
    with bench(tmp_path, **limits) as made, contextlib.ExitStack() as stack:
        plans = made._plans
        plans["2"] = plan(Path(plans["2"].path), execution="thread", max_rows=1, max_request_rows=2)
        made.want(3, "2")
        eventually(lambda: made.worker.worker.loader.loaded["m", "2"].plan == plans["2"])
        made.hang()
        clients = asked(stack, made, *[UNNAMED] * 5)
        made.want(4, "1")

        made.gate.let_through(3)
        assert [answer_of(client)[1] for client in clients] == ["2", "1", "1", "2", "2"]


def test_a_large_request_keeps_its_version(tmp_path: Path) -> None:
    """Some of its parts may be running: all of its rows come from one version."""
    with bench(tmp_path) as made, connected(made.worker.url) as client:
        client.send(post(UNNAMED, infer_body([[1.0, 2.0, 3.0]] * 3)))
        eventually(lambda: made.queued("2") == 2)
        made.want(3, "1")

        made.gate.let_through(3)
        answer = client.read()
        assert data_of(answer) == [4.0, 6.0, 8.0] * 3
        assert answer.header("x-model-version") == "2"
