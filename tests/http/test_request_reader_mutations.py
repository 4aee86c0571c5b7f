"""Mutated requests, held to a second parser: the reader may refuse more, and read nothing else."""

import random

import hypothesis
from hypothesis import strategies as st

from loadtests.hostile import mutations, oracle
from server.settings import Settings
from tests.support.asking import cut
from tests.support.reading import Recorder, Seen

DEFAULTS = Settings()


def answered(seen: list[Seen]) -> list[tuple[bytes, bytes, bytes]]:
    """Return what would be answered: nothing after a request that ends its connection."""
    kept = []
    for one in seen:
        kept.append((one.method, one.url, one.body))
        if not one.keep_alive:
            break
    return kept


@hypothesis.settings(max_examples=200)
@hypothesis.given(st.integers(0, 1 << 60), st.lists(st.integers(0, 1 << 20), max_size=6))
def test_mutated_requests_are_read_in_one_way(seed: int, places: list[int]) -> None:
    """Whatever the bytes and however they are cut, nothing is read that the RFC does not have."""
    stream = mutations.mutated(random.Random(seed))
    expected = [(one.method, one.target, one.body) for one in oracle.requests(stream)]
    whole = Recorder(DEFAULTS).feed(stream)
    pieces = Recorder(DEFAULTS).feed(*cut(stream, places))
    read = answered(whole.requests)

    assert read == expected[: len(read)]
    assert len(read) == len(expected) or whole.error is not None
    assert (pieces.requests, pieces.error is None) == (whole.requests, whole.error is None)
    assert whole.budget.used <= len(stream)
