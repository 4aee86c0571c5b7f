"""The batcher with real sessions: who gets which rows, in which batches, and where they run."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from server.engine.batching import Closed, Execution
from server.engine.session import RunHandle, Session
from server.tensors import Array
from tests.support import models
from tests.support.batches import Bench, Counted, Gate, Request, on_loop, opened, rows

MAX_ROWS = 8
EXECUTIONS = [Execution.INLINE, Execution.THREAD]


@pytest.fixture(scope="module")
def affine(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A model that answers 2x + 1."""
    return opened(tmp_path_factory.mktemp("affine"), models.affine(), Counted)


@pytest.mark.parametrize("execution", EXECUTIONS)
@settings(max_examples=40)
@given(turns=st.lists(st.lists(st.integers(1, MAX_ROWS), max_size=6), max_size=6))
def test_each_caller_gets_exactly_its_own_rows(
    affine: Counted, execution: Execution, turns: list[list[int]]
) -> None:
    """Whatever sizes arrive in whichever turns of the loop, every row comes back to its caller."""
    affine.rows.clear()

    async def scenario() -> None:
        bench = Bench(affine, max_rows=MAX_ROWS, execution=execution)
        sent: list[tuple[Request, Array]] = []
        for turn in turns:
            for count in turn:
                first = sum(request.rows for request, _ in sent)
                x = rows(*range(first, first + count))
                sent.append((Request(x), x))
                bench.submit(sent[-1][0])
            await asyncio.sleep(0)
        for request, x in sent:
            [y] = await request.answer()
            assert y.tolist() == (2 * x + 1).tolist()
        await bench.batcher.drain()

        order = [entry for batch in bench.finished for entry in batch.entries]
        assert order == [request for request, _ in sent]
        assert [batch.rows for batch in bench.finished] == affine.rows
        assert bench.batcher.queued_rows == 0

    on_loop(scenario)
    assert all(0 < count <= MAX_ROWS for count in affine.rows)
    assert sum(affine.rows) == sum(map(sum, turns))


def test_what_arrives_in_one_turn_of_the_loop_is_one_batch(affine: Counted) -> None:
    """Without any delay set, requests that became readable together run together."""

    async def scenario() -> None:
        bench = Bench(affine)
        requests = [Request(rows(1, 2)), Request(rows(3)), Request(rows(4))]
        bench.submit(*requests)
        assert bench.batcher.queued_rows == 4
        for request in requests:
            await request.answer()

        [batch] = bench.finished
        assert batch.rows == 4
        assert batch.entries == requests
        assert batch.closed is Closed.EMPTY
        assert batch.error is None
        assert batch.started <= batch.run_started <= batch.run_finished
        assert [tensor.tolist() for tensor in batch.inputs] == [rows(1, 2, 3, 4).tolist()]

    on_loop(scenario)


def test_an_answer_never_comes_from_within_submit(affine: Counted) -> None:
    """Also a model that runs on the loop answers in a later turn, never before submit returns."""

    async def scenario() -> None:
        bench = Bench(affine)
        request = Request(rows(1))
        bench.submit(request)
        assert not request.fate.done()
        await request.answer()

    on_loop(scenario)


def test_while_a_batch_runs_the_next_one_gathers(tmp_path: Path) -> None:
    """Requests that come during a run share the next batch, in order, with nothing held back."""
    gate = opened(tmp_path, models.affine(), Gate)

    async def scenario() -> None:
        bench = Bench(gate, max_rows=4, execution=Execution.THREAD)
        requests = [Request(rows(value)) for value in range(6)]
        bench.submit(requests[0])
        await gate.has_begun()
        for request in requests[1:]:
            bench.submit(request)
            await asyncio.sleep(0)
        assert bench.batcher.queued_rows == 5
        gate.let_through(3)
        for value, request in enumerate(requests):
            [y] = await request.answer()
            assert y.tolist() == [[2 * value + 1] * 3]

        assert [batch.rows for batch in bench.finished] == [1, 4, 1]
        assert [batch.closed for batch in bench.finished] == [
            Closed.EMPTY,
            Closed.FULL,
            Closed.EMPTY,
        ]
        await bench.batcher.drain()

    on_loop(scenario)


def test_requests_of_other_shapes_run_in_batches_of_their_own(tmp_path: Path) -> None:
    """A model with free dimensions joins neighbours of one shape, and keeps the order."""
    session = opened(tmp_path, models.identity("FP32", ("N", "M")), Counted)
    widths = [2, 2, 5, 2, 5, 5]

    async def scenario() -> None:
        bench = Bench(session)
        arrays = [rows(value, width=width) for value, width in enumerate(widths)]
        requests = [Request(array, shape_key=array.shape[1:]) for array in arrays]
        bench.submit(*requests)
        for array, request in zip(arrays, requests, strict=True):
            [y] = await request.answer()
            assert y.tolist() == array.tolist()

        assert [len(batch.entries) for batch in bench.finished] == [2, 1, 1, 2]
        assert [batch.closed for batch in bench.finished] == [
            *[Closed.SHAPE] * 3,
            Closed.EMPTY,
        ]

    on_loop(scenario)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_text_and_numbers_in_several_inputs_stay_together(
    tmp_path: Path, execution: Execution
) -> None:
    """Each input is joined by itself, text as text, and every output is cut at the same rows."""
    session = opened(tmp_path, models.mixed(), Session)

    async def scenario() -> None:
        bench = Bench(session, execution=execution)
        requests = []
        for names in (["a", "ä"], [""], ["日本", "x", "y"]):
            text = np.array(names, object)[:, np.newaxis]
            counts = np.array([[len(name)] for name in names], np.int64)
            requests.append(Request(text, counts, counts.astype(np.float32) / 2))
        bench.submit(*requests)
        answers = [
            [output.ravel().tolist() for output in await request.answer()] for request in requests
        ]

        assert answers == [
            [["a", "ä"], [1, 1], [0.5, 0.5]],
            [[""], [0], [0.0]],
            [["日本", "x", "y"], [2, 1, 1], [1.0, 0.5, 0.5]],
        ]
        assert len(bench.finished) == 1
        await bench.batcher.drain()

    on_loop(scenario)


def test_inputs_of_different_widths_are_each_joined_in_their_own(tmp_path: Path) -> None:
    """The shape of one input says nothing of another's."""
    columns = (("narrow", 1), ("wide", 4))
    content = models.model(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _ in columns],
        [models.tensor(name, models.FLOAT, ("N", width)) for name, width in columns],
        [models.tensor(f"{name}_out", models.FLOAT, ("N", width)) for name, width in columns],
    )
    session = opened(tmp_path, content, Session)

    async def scenario() -> None:
        bench = Bench(session)
        requests = [Request(rows(value, width=1), rows(-value, width=4)) for value in (1, 2)]
        bench.submit(*requests)

        assert [[one.tolist() for one in await request.answer()] for request in requests] == [
            [[[1]], [[-1] * 4]],
            [[[2]], [[-2] * 4]],
        ]
        assert len(bench.finished) == 1

    on_loop(scenario)


def test_views_that_are_not_aligned_are_joined_and_run_right(affine: Counted) -> None:
    """Binary tensors begin at any byte of a body; alone or joined, the numbers are the same."""

    async def scenario() -> None:
        bench = Bench(affine)
        requests = [Request(rows(5)), Request(rows(6)), Request(rows(7))]
        for request in requests:
            [data] = request.tensors
            assert isinstance(data, bytes)
            request.tensors = [memoryview(b"?" + data)[1:]]
        bench.submit(*requests[:2])
        await requests[0].answer()
        bench.submit(requests[2])

        assert [(await request.answer())[0][0, 0] for request in requests] == [11, 13, 15]
        assert [len(batch.entries) for batch in bench.finished] == [2, 1]

    on_loop(scenario)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_an_unbatched_model_runs_one_request_a_run(tmp_path: Path, execution: Execution) -> None:
    """A model whose rows depend on their mates never sees those of two callers at once."""
    session = opened(tmp_path, models.batch_mean(), Session)

    async def scenario() -> None:
        bench = Bench(session, is_batched=False, execution=execution)
        requests = [Request(rows(0, 2)), Request(rows(10, 20, 30))]
        bench.submit(*requests)

        assert [(await request.answer())[0][:, 0].tolist() for request in requests] == [
            [-1, 1],
            [-10, 0, 10],
        ]
        assert [batch.closed for batch in bench.finished] == [Closed.SINGLE] * 2
        await bench.batcher.drain()

    on_loop(scenario)


def test_an_unbatched_model_may_answer_any_number_of_rows(tmp_path: Path) -> None:
    """Rows are counted for batches only: here one scalar for two rows is a good answer."""
    total = models.model(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [models.tensor("x", models.FLOAT, ("N", 3))],
        [models.tensor("y", models.FLOAT, ())],
    )
    session = opened(tmp_path, total, Session)

    async def scenario() -> None:
        bench = Bench(session, is_batched=False)
        request = Request(rows(1, 2))
        bench.submit(request)

        [y] = await request.answer()
        assert np.asarray(y).tolist() == 9.0

    on_loop(scenario)


def test_as_many_runs_go_on_at_once_as_there_are_instances(tmp_path: Path) -> None:
    """With three instances three runs meet inside the model; the fourth waits its turn."""
    gate = opened(tmp_path, models.affine(), Gate)

    async def scenario() -> None:
        bench = Bench(gate, max_rows=1, instances=3, execution=Execution.THREAD)
        requests = [Request(rows(value)) for value in range(4)]
        bench.submit(*requests)
        for _ in range(3):
            await gate.has_begun()
        assert bench.batcher.queued_rows == 1
        assert not gate.begun.acquire(blocking=False)
        gate.let_through()
        await gate.has_begun()
        gate.let_through(3)

        for value, request in enumerate(requests):
            assert (await request.answer())[0][0, 0] == 2 * value + 1
        await bench.batcher.drain()

    on_loop(scenario)


@pytest.mark.parametrize(
    ("execution", "batch_seconds", "on_loop_thread"),
    [
        (Execution.INLINE, 1.0, True),
        (Execution.THREAD, 0.0, False),
        (Execution.AUTO, 0.0, True),
        (Execution.AUTO, 1.0, False),
    ],
)
def test_the_model_runs_where_the_setting_or_the_measured_time_says(
    tmp_path: Path, execution: Execution, batch_seconds: float, on_loop_thread: bool
) -> None:
    """Inline means on the event loop's own thread; everything else is a thread of the model's.

    The first batch says nothing: it goes to a thread unless the setting is inline.
    """

    class Whereabouts(Session):
        threads: list[threading.Thread] = []  # noqa: RUF012 - one test, one list

        def run(self, inputs: object, handle: RunHandle | None = None) -> list[Array]:
            self.threads.append(threading.current_thread())
            return super().run(inputs, handle)  # type: ignore[arg-type]

    session = opened(tmp_path, models.affine(), Whereabouts)

    async def scenario() -> None:
        bench = Bench(session, execution=execution)
        for _ in range(2):
            bench.batcher.batch_seconds = batch_seconds
            request = Request(rows(1))
            bench.submit(request)
            await request.answer()
        await bench.batcher.drain()

        first, second = [thread is threading.current_thread() for thread in session.threads]
        assert first is (execution is Execution.INLINE)
        assert second is on_loop_thread

    on_loop(scenario)


def test_the_typical_run_time_follows_what_is_measured(affine: Counted) -> None:
    """A wrong first guess wears off, so a fast model comes back to the event loop."""

    async def scenario() -> None:
        bench = Bench(affine, execution=Execution.AUTO)
        bench.batcher.batch_seconds = guess = 1.0
        request = Request(rows(1))
        bench.submit(request)
        await request.answer()
        await bench.batcher.drain()

        [batch] = bench.finished
        measured = batch.run_finished - batch.run_started
        assert bench.batcher.batch_seconds == pytest.approx(guess + 0.1 * (measured - guess))

    on_loop(scenario)
