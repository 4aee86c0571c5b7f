"""Tallies: counts add up in any order, and travel unchanged."""

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.wire.tally import (
    DURATION_BUCKETS,
    BatchSize,
    DurationHistogram,
    Routed,
    Tally,
    decode,
    encode,
)

# Sums of these are exact in any order, so adding can be compared with ==.
exact_seconds = st.integers(0, 1 << 20).map(lambda number: number / 1024)
durations = st.lists(exact_seconds, max_size=4)
words = st.sampled_from(["ok", "queue_full", "model_error", "client_gone", ""])


@st.composite
def histograms(draw: st.DrawFn) -> DurationHistogram:
    histogram = DurationHistogram()
    histogram.observe(np.array(draw(durations), np.float64))
    return histogram


routed = st.builds(
    Routed,
    outcomes=st.dictionaries(words, st.integers(1, 9), min_size=1).map(Counter),
    request=histograms(),
    keyed=st.integers(0, 9),
)
tallies = st.builds(
    Tally,
    outcomes=st.dictionaries(words, st.integers(0, 9)).map(Counter),
    outcome_seconds=st.dictionaries(words, exact_seconds).map(
        lambda seconds: defaultdict(float, seconds)
    ),
    closed=st.dictionaries(words, st.integers(0, 9)).map(Counter),
    request=histograms(),
    queue=histograms(),
    compute=histograms(),
    sizes=st.dictionaries(
        st.integers(1, 5),
        st.builds(BatchSize, st.integers(0, 9), exact_seconds, exact_seconds, exact_seconds),
    ),
    broken=st.dictionaries(st.tuples(words, words, words), st.integers(0, 9)).map(Counter),
    unmirrored=st.dictionaries(words, st.integers(0, 9)).map(Counter),
    routed=st.builds(Routed) | routed,
    last_milliseconds=st.integers(0, 2**45),
)


def plain(tally: Tally) -> object:
    """Return a tally as a value that compares."""
    value = orjson.loads(encode("m", "1", tally))
    return {name: value[name] for name in value if name not in ("model", "version")}


def total(*tallies: Tally) -> Tally:
    """Return the sum of tallies, which stay as they are."""
    result = Tally()
    for tally in tallies:
        result.add(tally)
    return result


@settings(max_examples=25)
@given(tallies, st.text(max_size=8), st.text(max_size=8))
def test_what_is_encoded_is_decoded(tally: Tally, model: str, version: str) -> None:
    """Counts, seconds, histograms and sizes survive the way to control."""
    received_model, received_version, received = decode(memoryview(encode(model, version, tally)))

    assert (received_model, received_version) == (model, version)
    assert plain(received) == plain(tally)
    received.outcome_seconds["new"] += 1.0
    received.outcomes["new"] += 1
    received.routed.outcomes["new"] += 1
    received.unmirrored["new"] += 1
    assert received.request.counts.dtype == np.int64


@settings(max_examples=25)
@given(tallies, tallies, tallies)
def test_tallies_add_in_any_order_and_grouping(one: Tally, two: Tally, three: Tally) -> None:
    """However counts are spread over messages and workers, control arrives at the same totals."""
    everything = plain(total(one, two, three))

    assert plain(total(total(one, two), three)) == everything
    assert plain(total(one, total(two, three))) == everything
    assert plain(total(three, one, two)) == everything


@settings(max_examples=25)
@given(tallies, tallies)
def test_adding_leaves_the_other_tally_alone(one: Tally, two: Tally) -> None:
    """A sum shares nothing with its parts: what is counted later is not counted twice."""
    before = plain(two)
    result = total(one, two)
    result.add(one)
    result.request.observe(np.array([1.0]))
    result.routed.request.observe(np.array([1.0]))

    assert plain(two) == before


@settings(max_examples=25)
@given(tallies, tallies)
def test_totals_are_sums(one: Tally, two: Tally) -> None:
    """Rows, batches and observations of the sum are those of the parts together."""
    both = total(one, two)

    assert both.rows == one.rows + two.rows
    assert both.batches == one.batches + two.batches
    assert both.request.total == one.request.total + two.request.total
    assert both.routed.request.total == one.routed.request.total + two.routed.request.total
    assert both.routed.keyed == one.routed.keyed + two.routed.keyed
    assert both.last_milliseconds == max(one.last_milliseconds, two.last_milliseconds)


def test_rows_and_batches_come_from_the_sizes() -> None:
    """Three batches of two rows and one of five are four batches of eleven rows."""
    tally = Tally(sizes={2: BatchSize(3), 5: BatchSize(1)})

    assert (tally.batches, tally.rows) == (4, 11)


@given(st.lists(st.floats(0, 100), max_size=20))
def test_each_duration_is_in_the_first_bucket_that_holds_it(durations: list[float]) -> None:
    """A bucket reaches up to and including its bound, as Prometheus' `le` says."""
    histogram = DurationHistogram()
    histogram.observe(np.array(durations, np.float64))
    bounds = (*DURATION_BUCKETS, float("inf"))

    for upto, bound in enumerate(bounds, 1):
        assert histogram.counts[:upto].sum() == sum(one <= bound for one in durations)
    assert histogram.total == len(durations)
    assert histogram.seconds == pytest.approx(sum(durations))


@pytest.mark.parametrize("bucket", range(len(DURATION_BUCKETS)))
def test_a_bound_belongs_to_its_own_bucket(bucket: int) -> None:
    """A duration equal to a bound is counted under it, and the next larger one is not."""
    bound = DURATION_BUCKETS[bucket]
    histogram = DurationHistogram()
    histogram.observe(np.array([bound, np.nextafter(bound, np.inf)]))

    assert np.flatnonzero(histogram.counts).tolist() == [bucket, bucket + 1]


def test_buckets_rise_and_resolve_a_small_model() -> None:
    """Bounds are in order, and several lie below the millisecond that a small model needs."""
    assert all(low < high for low, high in pairwise(DURATION_BUCKETS))
    assert sum(bound <= 0.001 for bound in DURATION_BUCKETS) >= 4
