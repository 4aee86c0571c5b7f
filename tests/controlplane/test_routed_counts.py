"""Requests of two versions, from the sums of workers."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.controlplane.routed_counts import FAILURES, RoutedCounts, slow_seconds
from server.release.canary_evidence import Requests
from server.wire.tally import DURATION_BUCKETS, DurationHistogram, Routed

KEY = ("m", "2")


def histogram(*durations: float) -> DurationHistogram:
    """Count durations in seconds."""
    counted = DurationHistogram()
    counted.observe(np.array(durations))
    return counted


def test_what_a_caller_did_wrong_is_no_failure() -> None:
    """Nor that a caller left."""
    assert {"model_error", "queue_full", "deadline_queue", "internal"} <= FAILURES
    assert not {"ok", "client_gone", "invalid_input", "data_check_failed"} & FAILURES


def test_only_what_is_new_counts() -> None:
    """The first look finds nothing, and neither does one at sums that began anew."""
    counts, sums = RoutedCounts(), Routed(Counter(ok=5, model_error=1), histogram(0.003), keyed=6)

    assert counts.news(KEY, sums, 0.002) == Requests()
    sums.outcomes.update(ok=3, model_error=2, invalid_input=1, client_gone=1)
    sums.request.observe(np.array([0.001, 0.002, 0.0021, 9.0, 99.0]))
    sums.keyed += 2
    expected = Requests(total=7, failures=2, timed=5, slow=3, unkeyed=5)
    assert counts.news(KEY, sums, 0.002) == expected
    assert counts.news(KEY, sums, 0.002) == Requests()
    assert counts.news(KEY, Routed(Counter(ok=1)), 0.002) == Requests()
    assert counts.news(KEY, Routed(Counter(ok=2)), 0.0) == Requests(total=1, unkeyed=1)


def test_what_is_forgotten_is_looked_at_for_the_first_time_again() -> None:
    """So that a later canary of the same version does not count what came before."""
    counts = RoutedCounts()
    counts.news(KEY, Routed(Counter(ok=5)), 0.0)
    counts.keep_only(set())

    assert counts.news(KEY, Routed(Counter(ok=9)), 0.0) == Requests()


@pytest.mark.parametrize(
    ("milliseconds", "slow"), [(0.9, 0.002), (1.5, 0.005), (1.0, 0.002), (300.0, 1.0)]
)
def test_slow_is_half_as_long_again_as_nearly_all(milliseconds: float, slow: float) -> None:
    """Rounded up to the bound of a bucket."""
    found = slow_seconds(histogram(*[milliseconds / 1e3] * 5000))

    assert found == slow


def test_what_is_slow_is_unknown_from_few_requests_or_endless_ones() -> None:
    """Then nothing is."""
    assert slow_seconds(histogram(*[0.001] * 999)) == 0.0
    assert slow_seconds(histogram(*[20.0] * 5000)) == 0.0
    assert slow_seconds(histogram(*[9.0] * 5000)) == 0.0


@given(st.lists(st.floats(1e-6, 2.0), min_size=1, max_size=30))
def test_next_to_no_live_request_is_slow(some: list[float]) -> None:
    """One in a hundred at most, and the bound is one of a bucket."""
    durations = some * 1000
    found = slow_seconds(histogram(*durations))

    assert found in DURATION_BUCKETS
    assert sum(duration > found for duration in durations) <= 0.01 * len(durations) + 1
