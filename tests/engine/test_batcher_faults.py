"""The batcher when something goes wrong: nobody but the one at fault is touched."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from server.engine.batching import Execution
from server.engine.session import Session
from server.errors import ModelFailed
from server.tensors import Array
from tests.support import models
from tests.support.batches import Bench, Counted, Request, on_loop, opened, rows

TABLE_ROWS = 4
EXECUTIONS = [Execution.INLINE, Execution.THREAD]
FAILED = (ModelFailed, "the model failed on this input")


def index(*values: int) -> Array:
    """Return rows for the gather model; a value of TABLE_ROWS or more makes it raise."""
    return np.array(values, np.int64)


def row_of_table(value: int) -> list[float]:
    """Return what the gather model answers to an index."""
    return [2.0 * value, 2.0 * value + 1]


@pytest.fixture(scope="module")
def gather(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """A model that looks rows up in a table of four."""
    return opened(tmp_path_factory.mktemp("gather"), models.gather(TABLE_ROWS), Counted)


members = st.lists(st.integers(0, TABLE_ROWS), min_size=1, max_size=3)


@pytest.mark.parametrize("execution", EXECUTIONS)
@settings(max_examples=40)
@given(requests=st.lists(members, min_size=1, max_size=6))
def test_only_the_members_at_fault_fail(
    gather: Counted, execution: Execution, requests: list[list[int]]
) -> None:
    """Whoever shares a batch with bad rows gets the answer that they would get alone."""

    async def scenario() -> None:
        bench = Bench(gather, max_rows=100, execution=execution)
        sent = [Request(index(*values)) for values in requests]
        bench.submit(*sent)
        for values, request in zip(requests, sent, strict=True):
            if TABLE_ROWS in values:
                assert await request.failure() == FAILED
            else:
                assert (await request.answer())[0].tolist() == list(map(row_of_table, values))
        await bench.batcher.drain()

    on_loop(scenario)


def test_a_batch_that_fails_is_run_again_member_by_member_once(gather: Counted) -> None:
    """One run of all, then one of each: never a third, and each has a batch of its own."""
    gather.rows.clear()

    async def scenario() -> None:
        bench = Bench(gather)
        requests = [Request(index(*values)) for values in ([0, 1], [9], [2], [9, 3])]
        bench.submit(*requests)
        for request in requests:
            await request.error()

        assert gather.rows == [6, 2, 1, 1, 2]
        assert [batch.entries for batch in bench.finished] == [[request] for request in requests]
        assert [batch.rows for batch in bench.finished] == [2, 1, 1, 2]
        assert [batch.error is None for batch in bench.finished] == [True, False, True, False]

    on_loop(scenario)


def test_a_request_that_fails_alone_is_not_run_again(gather: Counted) -> None:
    """There is nobody to protect: one run, one error, with ONNX Runtime's words as its cause."""
    gather.rows.clear()

    async def scenario() -> None:
        bench = Bench(gather)
        request = Request(index(9))
        bench.submit(request)

        assert await request.failure() == FAILED
        [batch] = bench.finished
        assert batch.error is not None
        assert "idx=9" in str(batch.error.__cause__)
        assert batch.outputs == []

    on_loop(scenario)
    assert gather.rows == [1]


def test_after_a_failure_the_next_request_is_served_as_usual(gather: Counted) -> None:
    """A fault leaves nothing behind in the batcher."""

    async def scenario() -> None:
        bench = Bench(gather, execution=Execution.THREAD)
        for value in (9, 1, 9, 2):
            request = Request(index(value))
            bench.submit(request)
            error = await request.error()
            assert (error is None) == (value < TABLE_ROWS)
        await bench.batcher.drain()

    on_loop(scenario)


def fewer_rows() -> bytes:
    """Answer with the rows but the first: a model that loses one."""
    return models.model(
        [helper.make_node("Slice", ["x", "one", "end"], ["y"])],
        [models.tensor("x", models.FLOAT, ("N", 3))],
        [models.tensor("y", models.FLOAT, ("M", 3))],
        {"one": np.array([1], np.int64), "end": np.array([1 << 40], np.int64)},
    )


def twice_the_rows() -> bytes:
    """Answer with every row two times."""
    return models.model(
        [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)],
        [models.tensor("x", models.FLOAT, ("N", 3))],
        [models.tensor("y", models.FLOAT, ("M", 3))],
    )


def no_rows_at_all() -> bytes:
    """Answer with one number, whatever comes."""
    return models.model(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [models.tensor("x", models.FLOAT, ("N", 3))],
        [models.tensor("y", models.FLOAT, ())],
    )


def second_output_short() -> bytes:
    """Answer with all rows in one output, and lose one in the other."""
    return models.model(
        [
            helper.make_node("Identity", ["x"], ["good"]),
            helper.make_node("Slice", ["x", "one", "end"], ["short"]),
        ],
        [models.tensor("x", models.FLOAT, ("N", 3))],
        [models.tensor("good", models.FLOAT, ("N", 3)), models.tensor("short", 1, ("M", 3))],
        {"one": np.array([1], np.int64), "end": np.array([1 << 40], np.int64)},
    )


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize(
    ("content", "got"),
    [
        (fewer_rows, "1 rows for 2"),
        (twice_the_rows, "4 rows for 2"),
        (no_rows_at_all, "no rows for 2"),
        (second_output_short, "1 rows for 2"),
    ],
)
def test_a_model_that_answers_another_number_of_rows_answers_no_one(
    tmp_path: Path, content: Callable[[], bytes], got: str, execution: Execution
) -> None:
    """Rows cannot be matched to callers any more, so each gets an error and none gets rows."""
    session = opened(tmp_path, content(), Session)

    async def scenario() -> None:
        bench = Bench(session, execution=execution)
        requests = [Request(rows(1, 2)), Request(rows(3, 4))]
        bench.submit(*requests)

        expected = (ModelFailed, f"the model answered {got}")
        assert [await request.failure() for request in requests] == [expected] * 2
        await bench.batcher.drain()

    on_loop(scenario)


def test_what_is_not_finite_stays_with_its_own_rows(tmp_path: Path) -> None:
    """Infinity and NaN are answers like others here, and the neighbours are bit-equal."""
    session = opened(tmp_path, models.reciprocal(), Session)

    async def scenario() -> None:
        bench = Bench(session)
        values = (0.0, 4.0, float("nan"), 3.0)
        requests = [Request(rows(value, width=2)) for value in values]
        bench.submit(*requests)
        answers = [(await request.answer())[0][0, 0] for request in requests]

        assert len(bench.finished) == 1
        assert np.isinf(answers[0])
        assert np.isnan(answers[2])
        assert (answers[1], answers[3]) == (0.25, np.float32(1) / np.float32(3))

    on_loop(scenario)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_a_member_that_cannot_be_joined_fails_alone(tmp_path: Path, execution: Execution) -> None:
    """Even a mistake of ours in one request is answered, and its mates are served."""
    session = opened(tmp_path, models.affine(), Session)

    async def scenario() -> None:
        bench = Bench(session, execution=execution)
        good, broken, fine = (Request(rows(value)) for value in (1, 2, 3))
        broken.tensors = [b"too short"]
        bench.submit(good, broken, fine)

        assert await broken.failure() == (ModelFailed, "the batch could not be run")
        assert [(await request.answer())[0][0, 0] for request in (good, fine)] == [3, 7]
        await bench.batcher.drain()

    on_loop(scenario)


def test_requests_that_come_while_others_fail_are_served(gather: Counted) -> None:
    """Faults in one batch cost the next one nothing."""

    async def scenario() -> None:
        bench = Bench(gather, max_rows=2, execution=Execution.THREAD)
        requests = [Request(index(value)) for value in (9, 0, 1, 9, 2, 3)]
        for request in requests:
            bench.submit(request)
            await asyncio.sleep(0)
        errors = [await request.error() for request in requests]

        assert [error is None for error in errors] == [False, True, True, False, True, True]
        await bench.batcher.drain()

    on_loop(scenario)
