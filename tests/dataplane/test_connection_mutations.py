"""Mutated requests on real connections: no 5xx, no second answer, and good ones are right."""

import contextlib
import random

import hypothesis
from hypothesis import strategies as st

from loadtests.hostile import mutations, oracle
from tests.support.asking import check_nothing_left, check_serving, send_pieces
from tests.support.dataplane import InProcessWorker
from tests.support.raw import RawAnswer, connected

OVERFLOWS = b'"code":"non_finite_output"'


@hypothesis.settings(max_examples=60)
@hypothesis.given(seed=st.integers(0, 1 << 60), in_pieces=st.booleans())
def test_no_stream_gets_more_than_its_answers(
    worker: InProcessWorker, seed: int, *, in_pieces: bool
) -> None:
    """Each request gets one answer at most, none of them a 5xx, and a hidden request gets none."""
    stream = mutations.mutated(random.Random(seed))
    expected = list(oracle.requests(stream))
    half = len(stream) // 2
    answers: list[RawAnswer] = []
    with connected(worker.url) as client, contextlib.suppress(ConnectionError):
        send_pieces(worker, client, [stream[:half], stream[half:]] if in_pieces else [stream])
        for one in expected:
            answer = client.read(has_body=one.method != b"HEAD")
            while answer.status == 100:
                answer = client.read(has_body=one.method != b"HEAD")
            answers.append(answer)
    for answer in answers:
        assert answer.status < 500 or OVERFLOWS in answer.body
        hidden = mutations.SMUGGLED in answer.body
        assert not hidden or any(mutations.SMUGGLED in one.target for one in expected)
    check_serving(worker)


def test_nothing_of_them_is_left(worker: InProcessWorker) -> None:
    """After all of these streams the worker holds nothing of them."""
    check_nothing_left(worker)
