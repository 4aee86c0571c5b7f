"""Rates, ratios and quantiles of the last minutes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.console.traffic import (
    Figures,
    Traffic,
    figures,
    per_second,
    quantile,
    quantiles,
    rates,
    together,
)
from server.wire.tally import DURATION_BUCKETS, DurationHistogram

BUCKETS = len(DURATION_BUCKETS) + 1


def traffic(requests: list[int], failures: int = 0, seconds: float = 0.004) -> Traffic:
    """Return steps of five seconds with so many requests, each of which took `seconds`."""
    steps = len(requests)
    counts = np.array(requests, np.int64)
    durations = np.zeros((steps, BUCKETS), np.int64)
    durations[:, int(np.searchsorted(DURATION_BUCKETS, seconds))] = counts
    failed = np.zeros(steps, np.int64)
    failed[-1:] = failures
    ends = 1_700_000_000.0 + 5.0 * np.arange(1, steps + 1, dtype=np.float64)
    return Traffic(ends, np.full(steps, 5.0), counts, failed, 2 * counts, counts, durations)


def test_figures_of_a_minute() -> None:
    """Requests over seconds, failures over requests, rows over batches."""
    found = figures(traffic([50] * 12, failures=6))

    assert found.requests_per_second == 10.0
    assert found.rows_per_second == 20.0
    assert found.error_ratio == 0.01
    assert found.rows_per_batch == 2.0
    assert found.p50_seconds == pytest.approx(0.0035)


def test_without_requests_there_is_a_rate_and_no_ratio() -> None:
    """Nobody asked: that is zero a second, and neither an error ratio nor a latency."""
    assert figures(traffic([0] * 12)) == Figures(requests_per_second=0.0, rows_per_second=0.0)


def test_before_the_first_step_nothing_is_known() -> None:
    """Control has just begun: not even the rate is zero."""
    assert figures(traffic([])) == figures(None) == Figures()


@given(st.lists(st.floats(1e-5, 9.9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], at: float) -> None:
    """Interpolation is never off by more than the bucket is wide."""
    histogram = DurationHistogram()
    histogram.observe(np.array(values))
    true = float(np.quantile(values, at, method="inverted_cdf"))

    place = int(np.searchsorted(DURATION_BUCKETS, true))
    low = DURATION_BUCKETS[place - 1] if place else 0.0

    found = quantile(histogram.counts, at)
    assert found is not None
    assert low <= found <= DURATION_BUCKETS[place] * (1 + 1e-12)


def test_what_is_beyond_the_last_bucket_is_at_least_its_bound() -> None:
    """Nothing is invented for requests of a minute."""
    histogram = DurationHistogram()
    histogram.observe(np.array([60.0]))

    assert quantile(histogram.counts, 0.5) == DURATION_BUCKETS[-1]


def test_lines_have_gaps_where_nothing_is_known() -> None:
    """A step without a length has no rate, and steps without requests have no latency."""
    some = traffic([10, 0, 0, 0, 10])
    some.spans[1] = 0.0

    assert per_second(some, some.requests) == [2.0, None, 0.0, 0.0, 2.0]
    lines = quantiles(some, 0.5, merged=2)
    assert [one is None for one in lines] == [False, False, True, True, False]


def test_versions_are_added_up_and_the_newest_steps_are_the_last() -> None:
    """A model's traffic is that of its versions, step by step."""
    both = together([traffic([1, 2, 3]), traffic([10, 20, 30])])

    assert both is not None
    assert both.requests.tolist() == [11, 22, 33]
    assert both.last(2).requests.tolist() == [22, 33]
    assert together([]) is None


def test_steps_of_one_bucket_are_interpolated_evenly() -> None:
    """Half of four requests between 2 and 5 ms lie below 3.5 ms."""
    counts: Any = np.zeros(BUCKETS, np.int64)
    counts[DURATION_BUCKETS.index(0.005)] = 4

    assert quantile(counts, 0.5) == pytest.approx(0.0035)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 40))
def test_a_small_line_has_as_many_points_as_asked_for(requests: list[int], most: int) -> None:
    """Its points are rates of neighbouring steps together, so none is above the highest."""
    found = rates(traffic(requests), most)

    assert len(found) <= most
    assert all(one is not None and one <= max(requests) / 5.0 for one in found)


def test_a_point_of_steps_without_a_length_is_not_known() -> None:
    """The clock was set back."""
    some = traffic([10, 20])
    some.spans[:] = [0.0, 5.0]

    assert rates(some, 2) == [None, 4.0]
    assert rates(some, 1) == [6.0]
