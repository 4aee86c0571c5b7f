"""Counts of features for Prometheus: what they add up to, and what a verdict needs besides."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.controlplane.monitor_counters import RATE_LABELS, SCORE_SHIFT, CounterFamilies
from server.monitoring.columns import layout_of
from server.monitoring.drift import Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.profile import Profile
from server.statistics.smooth_test import COMPONENTS, shift, smooth_basis
from tests.support import seasons
from tests.support.references import (
    mixed_profile,
    mixed_rows,
    normal_blocks,
    normal_profile,
    profile_of,
    signature,
)

ORDER = ("feature", "component", "category", "rate", "rule", "gt", "le")


def _mixed(rows: int = 500) -> Observer:
    observer = Observer(mixed_profile(5000), Limits(), Pace(), 0.0)
    inputs, outputs = mixed_rows(np.random.default_rng(1), rows)
    inputs["colour"][:5] = "mauve"
    groups = observer.profile.layout.groups
    observer.take(rows, groups[0].blocks(inputs), groups[1].blocks(outputs))
    observer.tick(20.0)
    return observer


def _normal(profile: Profile, shifted: float = 0.0, rows: int = 500) -> Observer:
    observer = Observer(profile, Limits(), Pace(), 0.0)
    x = np.random.default_rng(1).standard_normal((rows, len(profile.layout.inputs.columns)))
    observer.take(rows, *normal_blocks(profile, (x + shifted).astype(np.float32)))
    observer.tick(20.0)
    return observer


def _samples(observer: Observer, *, with_bins: bool = False) -> dict[str, float]:
    families = CounterFamilies(with_bins=with_bins)
    families.add(("m", "1"), observer, range(len(observer.profile.columns)))
    found: dict[str, float] = {}
    for family in families.all():
        for sample in family.samples:
            assert sample.labels["profile"] == observer.profile.hash[:12]
            words = [sample.labels[name] for name in ORDER if name in sample.labels]
            found[" ".join([sample.name.removeprefix("tidegate_monitor_"), *words])] = sample.value
    return found


def test_rows_are_counted_by_feature() -> None:
    """Rows, those present, those unusual and what the reference had, for numbers and words."""
    samples = _samples(_mixed())

    missing = samples["unusual_rows_total amount missing missing"]
    assert 0 < missing < 50
    assert samples["rows_total amount"] == 500
    assert samples["present_rows_total amount"] == 500 - missing
    assert samples["unusual_rows_total colour novel novel"] == 5
    assert samples["present_rows_total colour"] == 500
    assert samples["reference_rows member"] == 5000
    assert samples["reference_unusual_rows amount missing missing"] == pytest.approx(100, abs=40)
    assert samples["rate_inflation amount above range"] == 1.0
    assert 0.0 < samples["alpha"] < 1e-5


def test_categories_are_counted_by_their_place() -> None:
    """What is known adds up to the rows present, less those of categories never seen."""
    samples = _samples(_mixed())
    live = [samples[f"category_rows_total colour {place:02}"] for place in range(4)]

    assert sum(live) == 495
    assert live[0] > live[1] > live[2] > live[3] == 0
    assert samples["reference_category_rows colour 00"] == pytest.approx(3000, abs=200)
    assert samples["category_inflation colour"] == 1.0


def test_scores_lead_back_to_the_verdicts_components() -> None:
    """From the counters alone, as Prometheus would, comes each component in standard errors."""
    observer = _normal(normal_profile(2, 5000), 0.4)
    samples = _samples(observer)
    basis = observer.judge.bases[0]
    assert basis is not None
    live = observer.judge.layout.number(observer.totals, 0).bins

    rows = samples["present_rows_total f0"]
    variance = 1.0 / rows + 1.0 / samples["reference_present_rows f0"]
    z = [
        (samples[f"score_total f0 {component}"] / rows - SCORE_SHIFT)
        / (variance * samples[f"score_inflation f0 {component}"]) ** 0.5
        for component in COMPONENTS
    ]

    assert z == pytest.approx(shift(basis, live).z.tolist())


def test_bins_are_exported_if_asked_for() -> None:
    """Each counts what is below its upper edge, and names the edge of the bin before."""
    observer = _normal(normal_profile(2, 5000))
    without, samples = _samples(observer), _samples(observer, with_bins=True)

    assert not [name for name in without if "bin" in name or "median" in name]
    edges = [name.split()[2:] for name in samples if name.startswith("bin_rows_total f0 ")]
    assert [low for low, _ in edges[1:]] == [high for _, high in edges[:-1]]
    assert (edges[0][0], edges[-1][1]) == ("-Inf", "+Inf")
    values = [samples[f"bin_rows_total f0 {low} {high}"] for low, high in edges]
    assert values == sorted(values)
    assert values[-1] == samples["present_rows_total f0"]


def test_every_rate_has_a_label() -> None:
    """A rate that is watched is exported, under a name that is not that of another."""
    judge = _mixed().judge
    names = {plan.name for place in range(5) for plan in judge.plans(place)}

    assert names == RATE_LABELS.keys()
    assert len(set(RATE_LABELS.values())) == len(RATE_LABELS)


def test_nothing_is_left_out_before_the_first_row() -> None:
    """All series are there from the start, so that no increase is missed."""
    observer = Observer(mixed_profile(5000), Limits(), Pace(), 0.0)
    before, after = _samples(observer, with_bins=True), _samples(_mixed(), with_bins=True)

    assert before.keys() == after.keys()
    assert not any(value for name, value in before.items() if "_total" in name)


def test_a_column_that_cannot_tell_has_no_scores() -> None:
    """A constant reference has no components; its rows and rates are there."""
    layout = layout_of(signature({"x": ("FP32", 1)}, {"y": ("FP32", 1)}), {})
    constant = {"x": np.ones((1000, 1), np.float32)}, {"y": np.ones((1000, 1), np.float32)}
    samples = _samples(_normal(profile_of(layout, *constant), rows=30))

    assert samples["rows_total x"] == 30
    assert samples["unusual_rows_total x above range"] > 0
    assert not [name for name in samples if name.startswith("score")]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=50))
@example([55546, 1060, 41269, 962056, 1])  # Where a polynomial out to the last bin passes 1024.
def test_no_score_is_below_what_is_added(counts: list[int]) -> None:
    """Whatever the reference, the score of a row and the shift are positive together."""
    scores = smooth_basis(np.array(counts, np.int64)).scores

    assert np.all(np.abs(scores) < SCORE_SHIFT)


def test_a_reference_by_hours_is_not_judged_by_sums() -> None:
    """Without alpha no rule of Prometheus can alarm; all that is counted is exported."""
    observer = Observer(seasons.profile(), Limits(), Pace(), 0.0)
    assert not [name for name in _samples(observer) if name.startswith("alpha")]
    assert "score_total height location" in _samples(observer)
    assert [name for name in _samples(_mixed()) if name.startswith("alpha")]
