"""Which requests a worker runs alone, and which it refuses."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dataplane.suspects import ModelSuspects, Suspects
from server.engine.recorder import Recorder, flights, hash_of
from server.errors import Quarantined
from server.tensors import Data
from server.wire.suspects import encode


@dataclass
class Request:
    """A request of some rows."""

    rows: int
    tensors: list[Data]


def row(*numbers: float) -> Request:
    """Return a request of one row."""
    return Request(1, [np.array(numbers, np.float32).tobytes()])


def known(request: Request) -> str:
    """Return the hash by which a request is known."""
    return hash_of(request.tensors) or ""


def test_a_suspect_is_run_alone_and_others_are_not() -> None:
    """It is known by its rows, whoever sends them."""
    suspects = ModelSuspects({known(row(1, 2)): 0.0})

    assert suspects.meets(row(1, 2), 64, now=5.0)
    assert not suspects.meets(row(1, 3), 64, now=5.0)


def test_what_is_quarantined_is_refused_until_its_time_is_over() -> None:
    """After that it is a suspect still, until control says otherwise."""
    suspects = ModelSuspects({known(row(1, 2)): 600.0})

    with pytest.raises(Quarantined):
        suspects.meets(row(1, 2), 64, now=599.0)
    assert suspects.meets(row(1, 2), 64, now=600.0)


def test_a_large_request_is_known_by_its_parts() -> None:
    """It ran in parts, so one of them was seen when the worker died."""
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    last = Request(2, [rows[8:].tobytes()])
    suspects = ModelSuspects({known(last): 0.0})

    assert suspects.meets(Request(10, [rows.tobytes()]), 4, now=1.0)
    assert not suspects.meets(Request(8, [rows[:8].tobytes()]), 4, now=1.0)


def test_text_and_nothing_are_never_suspects() -> None:
    """What has no hash is run as ever."""
    suspects = ModelSuspects({"": 0.0})

    assert not suspects.meets(Request(1, [["a"]]), 4, now=1.0)
    assert not suspects.meets(Request(0, [b""]), 4, now=1.0)


def test_control_names_suspects_by_model() -> None:
    """What it says replaces what it said, and time runs on this worker's clock."""
    suspects = Suspects()
    suspects.take(encode({"m": {known(row(1)): 600.0}}), now=1000.0)

    of_m = suspects.of("m")
    assert of_m is not None
    with pytest.raises(Quarantined):
        of_m.meets(row(1), 64, now=1599.0)
    assert suspects.of("n") is None

    suspects.take(encode({}), now=1001.0)
    assert suspects.of("m") is None


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8), st.integers(0, 7))
def test_who_was_written_down_is_met_again(numbers: list[float], which: int) -> None:
    """The hash of a member of a batch that killed a worker is that of the same request later."""
    batch = [row(number) for number in numbers]
    recorder = Recorder()
    joined = np.array(numbers, np.float32).reshape(-1, 1)
    recorder.of_version("m", "1", "aa", 1).begin(batch, len(batch), [joined])

    (flight,) = flights(lambda at, size: recorder.memory[at : at + size])
    suspects = ModelSuspects(dict.fromkeys(flight.hashes, 0.0))
    assert suspects.meets(batch[which % len(batch)], 64, now=1.0)
