"""What a worker writes down beside its runs, as whoever finds it dead reads it."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import get_ident

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.recorder import (
    MEMORY_BYTES,
    SLOT_BYTES,
    SLOTS,
    Doing,
    Flight,
    Recorder,
    flights,
    hash_of,
)
from server.tensors import Array

DIGEST = "ab" * 32
Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Member:
    """A request of so many rows."""

    rows: int


@pytest.fixture
def descriptor() -> Iterator[int]:
    """A file as the supervisor gives it to a worker."""
    made = os.memfd_create("recorder")
    os.ftruncate(made, MEMORY_BYTES)
    yield made
    os.close(made)


def reading(descriptor: int) -> Read:
    """Read as another process does."""
    return lambda at, size: os.pread(descriptor, size, at)


def matrix(rows: int, columns: int, seed: int = 0) -> Array:
    """Return numbers of which no two rows are alike."""
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def test_a_run_is_there_while_it_goes_on(descriptor: int) -> None:
    """Which version, on which thread, with whose rows; and nothing is left when it has ended."""
    recording = Recorder(descriptor).of_version("m", "3", DIGEST, 1)
    rows = matrix(2, 4)
    slot = recording.begin([Member(1), Member(1)], 2, [rows])

    hashes = tuple(hash_of([row.tobytes()]) for row in rows)
    assert list(flights(reading(descriptor))) == [
        Flight("m", "3", DIGEST, Doing.RUN, 2, get_ident(), hashes)  # type: ignore[arg-type]
    ]

    recording.end(slot)

    assert list(flights(reading(descriptor))) == []


def test_a_load_is_written_down_without_rows(descriptor: int) -> None:
    """A file that kills whoever opens it has a name too."""
    slot = Recorder(descriptor).of_version("m", "3", DIGEST, 2).begin_load()

    (flight,) = flights(reading(descriptor))
    assert (flight.doing, flight.members, flight.hashes) == (Doing.LOAD, 0, ())
    assert slot >= 0


@given(
    members=st.lists(st.integers(1, 5), min_size=1, max_size=20),
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_every_member_is_known_by_its_own_rows(members: list[int], widths: list[int]) -> None:
    """However a batch is made up, a member has the hash that it has by itself."""
    total = sum(members)
    inputs = [matrix(total, width, seed) for seed, width in enumerate(widths)]
    recorder = Recorder()
    recorder.of_version("m", "1", DIGEST, len(widths)).begin(
        [Member(rows) for rows in members], total, inputs
    )

    (flight,) = flights(lambda at, size: recorder.memory[at : at + size])
    ends = np.cumsum(members)
    assert list(flight.hashes) == [
        hash_of([joined[end - rows : end].tobytes() for joined in inputs])
        for rows, end in zip(members, ends, strict=True)
    ]


def test_rows_that_do_not_fit_are_left_out(descriptor: int) -> None:
    """A large batch is still named; nobody can be known by rows that were not written."""
    recording = Recorder(descriptor).of_version("m", "1", DIGEST, 1)
    recording.begin([Member(1)], 1, [matrix(1, SLOT_BYTES // 4)])

    (flight,) = flights(reading(descriptor))
    assert (flight.model, flight.members, flight.hashes) == ("m", 1, ())


def test_text_is_not_written_down(descriptor: int) -> None:
    """The run is, and a request of text has no hash."""
    recording = Recorder(descriptor).of_version("m", "1", DIGEST, 0)
    recording.begin([Member(1)], 1, [np.array([["a"]], dtype=object)])

    (flight,) = flights(reading(descriptor))
    assert flight.hashes == ()
    assert hash_of([["a"]]) is None


def test_more_runs_than_slots_go_on_unwritten(descriptor: int) -> None:
    """Whoever finds no slot runs all the same, and a slot that is given back is used again."""
    recording = Recorder(descriptor).of_version("m", "1", DIGEST, 1)
    taken = [recording.begin([Member(1)], 1, [matrix(1, 2)]) for _ in range(SLOTS + 1)]
    assert len(list(flights(reading(descriptor)))) == SLOTS

    for slot in taken:
        recording.end(slot)

    assert list(flights(reading(descriptor))) == []
    assert recording.begin([Member(1)], 1, [matrix(1, 2)]) >= 0


@given(junk=st.binary(min_size=64, max_size=4096), at=st.integers(0, 4096))
def test_what_was_written_over_is_left_out(junk: bytes, at: int) -> None:
    """A worker may have written anywhere before it died: reading that never raises."""
    recorder = Recorder()
    recorder.of_version("m", "1", DIGEST, 1).begin([Member(1), Member(2)], 3, [matrix(3, 2)])
    recorder.memory[at : at + len(junk)] = junk

    assert len(list(flights(lambda at, size: recorder.memory[at : at + size]))) <= 1


def test_hashes_tell_which_input_a_number_is_of() -> None:
    """The same bytes cut into inputs elsewhere are another request."""
    assert hash_of([b"ab", b"c"]) != hash_of([b"a", b"bc"])
