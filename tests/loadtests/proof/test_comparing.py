"""What differs between two results, and what is only noise."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.proof.comparing import NOISE, Difference, chance, differences, table, warnings
from loadtests.proof.results import BY_KEY, spread
from tests.loadtests.proof.support import measured, outcome, results


def of_rates(old: Sequence[float], new: Sequence[float]) -> Difference:
    """Return the difference of two rates."""
    figure = BY_KEY["requests_per_second"]
    return Difference("s", "t", figure, spread([*old]), spread([*new]))


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ([100, 101, 102], [110, 111, 112], "better"),
        ([100, 101, 102], [90, 91, 92], "worse"),
        ([100, 101, 102], [102, 103, 104], NOISE),
        ([100, 120, 140], [110, 130, 150], NOISE),
        ([100, 101], [110, 111], "too few runs"),
        ([100], [200], "too few runs"),
    ],
)
def test_a_change_is_one_that_chance_would_seldom_show(
    old: list[float], new: list[float], verdict: str
) -> None:
    """Ranges that touch are noise, and of few runs nobody can tell."""
    assert of_rates(old, new).verdict == verdict


def test_less_is_better_for_times_and_cost() -> None:
    """Half the processor time is better."""
    figure = BY_KEY["cpu_seconds_per_request"]
    less = Difference("s", "t", figure, spread([4.0, 4.1, 4.2]), spread([2.0, 2.1, 2.2]))

    assert less.verdict == "better"


RATES = st.lists(st.floats(1.0, 1e6), min_size=1, max_size=9)


@given(RATES, RATES)
def test_the_ratio_of_medians_lies_in_the_range(old: list[float], new: list[float]) -> None:
    """The range is that of all pairs of runs."""
    found = of_rates(old, new)

    assert found.low <= found.ratio <= found.high
    assert found.low == pytest.approx(min(new) / max(old))


@given(RATES)
def test_the_same_results_never_differ(rates: list[float]) -> None:
    """Whatever the runs are."""
    assert of_rates(rates, rates).verdict == NOISE


def test_the_chance_is_that_of_one_order_or_its_reverse_among_all() -> None:
    """Three runs on each side part by chance in 2 of 20 orders."""
    assert chance(3, 3) == pytest.approx(0.1)
    assert chance(1, 1) == 1.0


def test_only_what_both_have_is_compared() -> None:
    """A target without runs that count, or on one side only, has no difference."""
    old = results(outcome(measured("a", [1, 2, 3]), measured("b", [1], errors=1)))
    new = results(outcome(measured("a", [1, 2, 3]), measured("b", [1]), measured("c", [1])))

    assert {one.target for one in differences(old, new)} == {"a"}


def test_it_is_said_what_makes_results_hard_to_compare() -> None:
    """Another machine, other lengths of runs, scenarios that one side lacks."""
    old = results(outcome(measured("a", [1])))
    other = outcome(measured("a", [1]), scenario="mlp-json-1/1")
    new = results(other, machine={"cores": "4 cores", "kernel": "Linux 6.18"}, rounds=5)

    assert list(warnings(old, new)) == [
        "other machine: cores 2 cores, now 4 cores",
        "other runs: 3 x 4 s, now 5 x 4 s",
        "only in the old file: mlp-json-1/64",
        "only in the new file: mlp-json-1/1",
    ]
    assert not list(warnings(old, old))


def test_the_table_has_a_row_for_each_figure() -> None:
    """Medians in the figure's unit, ratio, range, verdict."""
    told = table(
        results(outcome(measured("a", [100, 101, 102]))),
        results(outcome(measured("a", [202, 204, 206]))),
    )

    row = "| mlp-json-1/64 | a | req/s | 101 | 204 | 2.02 | 1.98 to 2.06 | better |"
    assert row in told.splitlines()
    assert "| mlp-json-1/64 | a | p50 µs | 1,000 | 1,000 | 1.00 | 1.00 to 1.00 | " in told
