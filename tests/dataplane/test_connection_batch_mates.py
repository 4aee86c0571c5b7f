"""Members of a batch that leave or are poison: the others get their own rows all the same."""

import contextlib
from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.dataplane.conftest import PlanOf
from tests.dataplane.test_connection_disconnects import leave
from tests.support.asking import (
    AFFINE,
    affine_data,
    check_nothing_left,
    data_of,
    error_of,
    infer_body,
    turn,
)
from tests.support.dataplane import InProcessWorker
from tests.support.raw import connected, post

MEMBERS = 4


@pytest.fixture(scope="module")
def gathering(
    tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf
) -> Iterator[InProcessWorker]:
    """A worker whose batches wait a moment to be full."""
    plans = {
        "affine": plan_of("affine", max_rows=MEMBERS, max_delay_ms=10),
        "gather": plan_of("gather", max_rows=64, max_delay_ms=5),
    }
    with InProcessWorker(tmp_path_factory.mktemp("gathering"), plans) as worker:
        yield worker


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    leaver=st.integers(0, MEMBERS - 1),
    share=st.floats(0, 1),
    how=st.sampled_from(["close", "reset", "half"]),
    looks=st.integers(0, 2),
)
def test_a_member_that_leaves_changes_nothing(
    gathering: InProcessWorker, leaver: int, share: float, how: str, looks: int
) -> None:
    """Whichever member leaves, when and however, the others get their own numbers."""
    rows = [[member, 0.5, -member] for member in range(MEMBERS)]
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(connected(gathering.url)) for _ in rows]
        for number, (client, row) in enumerate(zip(members, rows, strict=True)):
            data = post(AFFINE, infer_body([row]))
            client.send(data[: round(share * len(data))] if number == leaver else data)
            for _ in range(looks):
                turn(gathering)
            if number == leaver:
                leave(client, how)
        for number, (client, row) in enumerate(zip(members, rows, strict=True)):
            if number != leaver:
                assert data_of(client.read()) == affine_data([row])
    check_nothing_left(gathering)


def test_poison_hurts_nobody_else(gathering: InProcessWorker) -> None:
    """Of 1,000 requests in full batches, 1 % make the run fail; all of the others are right."""
    indices = [99 if number % 100 == 37 else number % 4 for number in range(1000)]
    requests = [
        post("/v2/models/gather/infer", infer_body([index], "index", "INT64")) for index in indices
    ]
    with connected(gathering.url) as client:
        for start in range(0, len(requests), 50):
            client.send(b"".join(requests[start : start + 50]))
            for index in indices[start : start + 50]:
                answer = client.read()
                if index == 99:
                    assert error_of(answer) == (500, "model_error")
                else:
                    assert data_of(answer) == [2 * index, 2 * index + 1]
    check_nothing_left(gathering)
