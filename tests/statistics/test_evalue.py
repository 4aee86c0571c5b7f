"""Evidence that holds at every look: its promise, its figures, and that its parts agree."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.statistics.evalue import (
    Split,
    best_ratio,
    cdf_band,
    growth_needed,
    is_rate_above,
    is_rate_below,
    log_e_of_ratio,
    log_e_value,
    paired_half_width,
    rate_interval,
    ratio_interval,
)

counts = st.integers(0, 2000)
rates = st.floats(0.001, 0.999)
alphas = st.floats(1e-4, 0.3)
splits = st.lists(st.builds(Split, counts, counts, rates), max_size=4)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3, 0.5])
@pytest.mark.parametrize("total", [1, 7, 60])
def test_evidence_is_one_on_average_when_nothing_is_there(rate: float, total: int) -> None:
    """Summed over everything that may be counted, each weighed by its chance: the promise."""
    mean = sum(
        math.comb(total, events)
        * rate**events
        * (1.0 - rate) ** (total - events)
        * math.exp(log_e_value(events, total - events, rate))
        for events in range(total + 1)
    )

    assert mean == pytest.approx(1.0, rel=1e-9)


@pytest.mark.parametrize(
    ("budget", "pairs"), [(0.05, 116), (0.02, 320), (0.01, 680), (0.005, 1438), (0.001, 8062)]
)
def test_pairs_without_an_event_that_a_budget_takes(budget: float, pairs: int) -> None:
    """The figures that the documentation states."""
    assert is_rate_below(0, pairs, budget, 0.05)
    assert not is_rate_below(0, pairs - 1, budget, 0.05)


def test_the_band_of_a_distribution_is_as_published() -> None:
    """Half-widths for a thousand, ten thousand and fifty thousand rows; none without rows."""
    assert cdf_band(1000, 0.05) == pytest.approx(0.087, abs=5e-4)
    assert cdf_band(10_000, 0.05) == pytest.approx(0.028, abs=5e-4)
    assert cdf_band(50_000, 0.05) == pytest.approx(0.0125, abs=5e-4)
    assert cdf_band(0, 0.05) == 1.0


@given(counts, counts, alphas)
def test_an_interval_holds_what_was_seen_and_grows_with_certainty(
    events: int, others: int, alpha: float
) -> None:
    """The observed rate is possible, and what is possible at one alpha is so at a smaller one."""
    total = events + others
    wide, narrow = rate_interval(events, total, alpha / 10.0), rate_interval(events, total, alpha)

    assert 0.0 <= wide.low <= narrow.low <= narrow.high <= wide.high <= 1.0
    if total:
        assert narrow.low <= events / total <= narrow.high


@given(counts, counts, rates, alphas)
def test_a_rate_is_out_just_when_the_interval_leaves_it_out(
    events: int, others: int, rate: float, alpha: float
) -> None:
    """Verdicts and the interval that is shown beside them never contradict each other."""
    total = events + others
    interval = rate_interval(events, total, alpha)

    if is_rate_below(events, total, rate, alpha):
        assert interval.high <= rate + 1e-9
    elif is_rate_above(events, total, rate, alpha):
        assert interval.low >= rate - 1e-9
    else:
        assert interval.low - 1e-9 <= rate <= interval.high + 1e-9


@given(splits, st.floats(0.01, 100.0), alphas)
def test_a_ratio_is_out_just_when_the_interval_leaves_it_out(
    periods: list[Split], ratio: float, alpha: float
) -> None:
    """The same of ratios, over any periods of any weights."""
    interval, best = ratio_interval(periods, alpha), best_ratio(periods)
    is_out = log_e_of_ratio(periods, ratio) > -math.log(alpha)

    assert interval.low <= interval.high
    if is_out and best < ratio:
        assert interval.high <= ratio * (1 + 1e-6)
    elif is_out and best > ratio:
        assert interval.low >= ratio * (1 - 1e-6)
    else:
        assert interval.low <= ratio * (1 + 1e-6)
        assert interval.high >= ratio * (1 - 1e-6)


@given(counts, counts, rates)
def test_the_ratio_of_one_period_is_that_of_the_rates(ours: int, others: int, share: float) -> None:
    """Without events nothing is known; without events of one arm, the ratio is at an end."""
    found = best_ratio([Split(ours, others, share)])

    if ours + others == 0:
        assert math.isnan(found)
    elif ours == 0 or others == 0:
        assert found == (0.0 if ours == 0 else math.inf)
    else:
        assert found == pytest.approx(ours / share / (others / (1.0 - share)), rel=1e-6)


def test_periods_that_contradict_each_other_leave_the_best_ratio_alone() -> None:
    """No single ratio fits a period without harm and one with tenfold harm."""
    periods = [Split(500, 500, 0.5), Split(900, 90, 0.5)]
    interval = ratio_interval(periods, 0.05)

    assert interval.low == interval.high == pytest.approx(best_ratio(periods), rel=1e-6)


def test_a_period_in_which_one_arm_was_not_asked_says_nothing() -> None:
    """Nobody was asked, or everybody: there is nothing to compare."""
    assert ratio_interval([Split(9, 0, 1.0), Split(0, 9, 0.0)], 0.05) == ratio_interval([], 0.05)


def test_the_mean_of_pairs_is_known_from_enough_of_them_only() -> None:
    """Its theory is of large counts: below 500 pairs or 30 that differ, it would be wrong."""
    assert paired_half_width(300, 150, 499, 0.05) is None
    assert paired_half_width(15, 14, 5000, 0.05) is None
    few = paired_half_width(20, 20, 1000, 0.05)
    many = paired_half_width(200, 200, 10_000, 0.05)

    assert few is not None
    assert many is not None
    assert 0.0 < many < few < 0.03


def test_the_mean_of_equal_versions_stays_within_its_width() -> None:
    """Looked at every hundred pairs, 200 seeded runs leave the interval in at most 4 %."""
    generator = np.random.default_rng(11)
    outcomes = generator.choice([-1, 0, 1], p=[0.02, 0.96, 0.02], size=(200, 10_000))
    losses, gains = np.cumsum(outcomes == -1, axis=1), np.cumsum(outcomes == 1, axis=1)
    left = 0
    for run in range(200):
        for pairs in range(100, 10_001, 100):
            lost, won = int(losses[run, pairs - 1]), int(gains[run, pairs - 1])
            width = paired_half_width(lost, won, pairs, 0.05)
            if width is not None and abs(won - lost) / pairs > width:
                left += 1
                break

    assert left <= 8


def test_a_forecast_says_how_far_counts_must_grow() -> None:
    """Between what decides and what does not, or nothing if it is out of reach."""
    assert growth_needed(lambda _: True) == 1.0
    assert growth_needed(lambda factor: factor >= 37.0) == pytest.approx(37.0, rel=0.01)
    assert growth_needed(lambda factor: factor >= 2e4) is None
