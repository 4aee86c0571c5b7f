"""Which rates are watched of which column, and that they read the right counts."""

import numpy as np

from server.monitoring.counting import CountLayout, RowCounter
from server.monitoring.rate_plans import Rule, positions, rate_plans
from tests.support.references import mixed_profile, mixed_rows


def test_each_kind_of_column_has_its_rates() -> None:
    """Numbers have a range, words can be new, and only what can change its type is asked for it."""
    layout = CountLayout(mixed_profile(2000))

    rules = {
        column.name: [(plan.name, plan.rule) for plan in rate_plans(layout, place)]
        for place, column in enumerate(layout.columns)
    }

    numbers = [
        ("missing", Rule.MISSING),
        ("infinite", Rule.RANGE),
        ("below the range", Rule.RANGE),
        ("above the range", Rule.RANGE),
    ]
    words = [("missing", Rule.MISSING), ("never seen", Rule.NOVEL)]
    assert rules == {
        "amount": numbers,
        "visits": [*numbers, ("a fraction", Rule.TYPE)],
        "colour": [*words, ("a number", Rule.TYPE)],
        "member": words,
        "label": words,
    }


def test_a_rate_is_of_the_rows_that_could_have_it() -> None:
    """Values out of range are counted among the finite ones, new words among those not missing."""
    profile = mixed_profile(2000)
    layout = CountLayout(profile)
    counter = RowCounter(layout)
    inputs, _ = mixed_rows(np.random.default_rng(3), 10)
    inputs["amount"][:, 0] = [np.nan, np.nan, np.inf, -np.inf, 1e9, 1e9, 1.0, 1.0, 1.0, -5.0]
    inputs["visits"][:, 0] = [0.5] * 3 + [np.nan] * 2 + [1.0] * 5
    inputs["colour"][:, 0] = ["new", "12", None, *["red"] * 7]
    counter.add(10, layout.profile.layout.inputs.blocks(inputs), None)
    counts = counter.take().counts

    found = {
        (column.name, plan.name): (rate.live_count, rate.live_rows)
        for place, column in enumerate(layout.columns)
        for plan in rate_plans(layout, place)
        for rate in [plan.rate(counts)]
    }

    assert found["amount", "missing"] == (2, 10)
    assert found["amount", "infinite"] == (2, 10)
    assert found["amount", "above the range"] == (2, 6)
    assert found["amount", "below the range"] == (1, 6)
    assert found["visits", "a fraction"] == (3, 8)
    assert found["colour", "missing"] == (1, 10)
    assert found["colour", "never seen"] == (2, 9)
    assert found["colour", "a number"] == (1, 9)
    assert found["label", "missing"] == (0, 0)


def test_references_are_what_the_profile_counted() -> None:
    """Missing values of the reference are its rate, and categories seen once stand for new ones."""
    profile = mixed_profile(2000)
    layout = CountLayout(profile)

    missing = rate_plans(layout, 0)[0]
    novel = rate_plans(layout, 2)[1]

    assert missing.reference_count == profile.columns[0].counts.missing > 0
    assert missing.reference_rows == 2000
    assert novel.reference_count == profile.columns[2].seen_once == 0  # type: ignore[union-attr]


def test_positions_are_filled_up_with_a_position_that_counts_nothing() -> None:
    """Rates of one and of two counts go into one array."""
    assert positions([(3,), (1, 2)]).tolist() == [[3, -1], [1, 2]]
    assert positions([]).shape == (0, 0)
