"""What a worker says of itself arrives as it was said."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from server.wire.status import (
    Failure,
    Gauges,
    Hello,
    Status,
    decode_hello,
    decode_status,
    encode_hello,
    encode_status,
)

words = st.text(st.characters(codec="utf-8"), max_size=8)
counts = st.integers(0, 2**53)
seconds = st.floats(0, 1e6)


def by_model_and_version(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return strategies for values by model and version."""
    return st.dictionaries(words, st.dictionaries(words, values, max_size=2), max_size=2)


gauges = st.builds(
    Gauges,
    in_flight=counts,
    in_flight_bytes=counts,
    connections=counts,
    loop_lag_seconds=seconds,
    resident_bytes=counts,
    cpu_seconds=seconds,
    open_files=counts,
    records_sent=counts,
    records_dropped=counts,
    probes=counts,
    queued_rows=by_model_and_version(counts),
)
statuses = st.builds(
    Status,
    generation=st.integers(-1, 2**40),
    loaded=by_model_and_version(words),
    live=st.dictionaries(words, words, max_size=2),
    failed=by_model_and_version(st.builds(Failure, words, words, words)),
    load_seconds=by_model_and_version(seconds),
    gauges=gauges,
    is_draining=st.booleans(),
    released=st.dictionaries(words, counts, max_size=2),
    unready=st.dictionaries(words, words, max_size=2),
)


@settings(max_examples=40)
@given(statuses)
def test_a_status_is_decoded_as_it_was(status: Status) -> None:
    """Every field survives, nested failures and gauges as values of their own kind."""
    assert decode_status(memoryview(encode_status(status))) == status


@settings(max_examples=20)
@given(statuses, gauges)
def test_how_busy_a_worker_is_is_no_news(status: Status, now: Gauges) -> None:
    """Anything else is, and so is the first word."""
    assert not replace(status, gauges=now).is_news(status)
    assert replace(status, gauges=now, generation=status.generation + 1).is_news(status)
    assert status.is_news(None)


@given(st.builds(Hello, st.integers(0, 300), st.integers(1, 2**22), st.integers(0, 99)))
def test_a_hello_is_decoded_as_it_was(hello: Hello) -> None:
    """Number, process id and restarts of a worker survive."""
    assert decode_hello(memoryview(encode_hello(hello))) == hello
