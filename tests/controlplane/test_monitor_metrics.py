"""Monitoring as metrics: what adds up, what is capped, what is never a label."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from server.controlplane import monitor_metrics
from server.controlplane.monitor_metrics import (
    MAX_ALL_FEATURES,
    MAX_FEATURES,
    MIN_FEATURES,
    MonitorSources,
    exported,
    features_of_each,
)
from server.controlplane.page import render
from server.controlplane.watched import Watched
from server.monitoring.alerts import DriftAlert
from server.monitoring.drift import WHOLE, Limits
from server.monitoring.observer import Observer, Pace
from server.monitoring.profile import Profile
from server.monitoring.rate_plans import Rule
from server.statistics.sequential import Alert, AlertState
from tests.support.references import (
    mixed_profile,
    mixed_rows,
    normal_blocks,
    normal_profile,
    scored_profile,
    scored_rows,
)

ORDER = (
    *("model", "version", "feature", "component", "category", "gt", "le"),
    *("rate", "rule", "state", "figure"),
)
"""Of labels, in the names that these tests use."""


def _observer(profile: Profile, rows: int = 500, shifted: Any = 0.0) -> Observer:
    observer = Observer(profile, Limits(), Pace(), 0.0)
    names = [one.column.name for one in profile.columns]
    if "colour" in names:
        inputs, outputs = mixed_rows(np.random.default_rng(1), rows)
        inputs["colour"][:5] = "mauve"
        groups = profile.layout.groups
        observer.take(rows, groups[0].blocks(inputs), groups[1].blocks(outputs))
    else:
        width = len(profile.layout.inputs.columns)
        x = np.random.default_rng(1).standard_normal((rows, width)) + shifted
        observer.take(rows, *normal_blocks(profile, x.astype(np.float32)))
    observer.tick(20.0)
    question = observer.question(20.0)
    observer.step(question, question.answer(), 20.0)
    return observer


def _samples(*watched: Watched) -> dict[str, float]:
    alarms = Counter({("m", "1", "drift"): 3})
    families = monitor_metrics.collect(MonitorSources(watched, 9, alarms, with_bins=False))
    page, _ = render(families, "")
    samples = [
        sample
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    ]
    found = {
        sample.name.removeprefix("tidegate_monitor_")
        + "".join(
            f" {sample.labels[name]}" for name in ORDER if name in sample.labels
        ): sample.value
        for sample in samples
    }
    assert len(found) == len(samples)
    return found


def test_what_is_not_about_one_feature_is_told_of_the_version() -> None:
    """Rows that nobody watched, and where the reference comes from; words are never labels."""
    samples = _samples(Watched("m", "1", "d", "", _observer(mixed_profile(5000))))

    assert samples["rows_total m 1 colour"] == 500
    assert samples["unwatched_rows_total"] == 9
    assert samples["learning m 1"] == 0
    assert samples["self_reference m 1"] == 0
    assert not [name for name in samples if "mauve" in name or " red" in name]


def test_the_effect_of_a_feature_is_what_was_last_judged() -> None:
    """In standard deviations, for each feature with series."""
    observer = _observer(normal_profile(2, 5000), shifted=[0.4, 0.0])
    samples = _samples(Watched("m", "1", "d", "", observer))

    assert samples["effect m 1 f0"] == pytest.approx(0.4, abs=0.15)


def test_alerts_are_counted_whole_and_named_if_raised() -> None:
    """Zero for every rule from the start, so that no first alert is missed."""
    observer = _observer(normal_profile(2, 5000))
    observer.alerts = {
        (Rule.DRIFT, 1): DriftAlert(AlertState(Alert.FIRING, 1.0, 2.0, 2)),
        (Rule.DRIFT, 0): DriftAlert(AlertState(Alert.PENDING, 1.0, None, 1)),
        (Rule.VOLUME, WHOLE): DriftAlert(AlertState(Alert.FIRING, 1.0, 2.0, 2)),
        (Rule.RANGE, 0): DriftAlert(cleared_seconds=5.0),
    }
    samples = _samples(Watched("m", "1", "d", "", observer))

    assert samples["alerts m 1 drift firing"] == 1
    assert samples["alerts m 1 drift pending"] == 1
    assert samples["alerts m 1 novel firing"] == 0
    each = {name for name in samples if name.startswith("alert ")}
    assert each == {
        "alert m 1 f1 drift firing",
        "alert m 1 f0 drift pending",
        "alert m 1  volume firing",
    }
    assert samples["alarms_total m 1 drift"] == 3
    assert samples["alarms_total m 1 scale"] == 0


def test_features_beyond_the_cap_are_summed_up() -> None:
    """The most important ones have series; the others' number and largest effect are told."""
    importances = [0.0] * 10 + [0.5] * (MAX_FEATURES - 5) + [None]
    profile = normal_profile(MAX_FEATURES + 5, 1000, importances=importances)
    shifted = np.zeros(MAX_FEATURES + 5)
    shifted[7] = 1.0
    samples = _samples(Watched("m", "1", "d", "", _observer(profile, shifted=shifted)))

    named = {name.split()[3] for name in samples if name.startswith("rows_total ")}
    assert len(named) == MAX_FEATURES
    assert "y" in named
    assert {f"f{place}" for place in range(10, MAX_FEATURES + 5)} <= named
    assert samples["omitted_features m 1"] == 6
    assert samples["omitted_effect m 1"] == pytest.approx(1.0, abs=0.3)


@given(st.integers(0, 3000))
def test_many_versions_have_few_features_each(versions: int) -> None:
    """A page stays of a size that can be scraped, and no version is left without a feature."""
    most = features_of_each(versions)

    assert MIN_FEATURES <= most <= MAX_FEATURES
    assert versions * most <= max(MAX_ALL_FEATURES, versions * MIN_FEATURES)
    assert most == MAX_FEATURES or versions > MAX_ALL_FEATURES // MAX_FEATURES


def test_of_few_features_those_that_matter_most_are_left() -> None:
    """What the model answers is among them, however few they are."""
    profile = normal_profile(MIN_FEATURES, 1000, importances=[0.1 * n for n in range(MIN_FEATURES)])
    places = exported(_observer(profile), 3)

    assert [profile.columns[place].column.name for place in places] == ["f6", "f7", "y"]


def test_a_learning_version_has_hardly_any_series() -> None:
    """It says that it learns, and nothing of features that nobody knows yet."""
    samples = _samples(Watched("m", "1", "d", ""))

    assert samples == {"learning m 1": 1.0, "unwatched_rows_total": 9.0}


def test_estimated_performance_is_exported_where_it_is_known() -> None:
    """Each figure, live and of the reference; nothing for a model without a score."""
    profile = scored_profile(5000)
    observer = Observer(profile, Limits(), Pace(), 0.0)
    inputs, outputs, _ = scored_rows(np.random.default_rng(1), 500)
    groups = profile.layout.groups
    observer.take(500, groups[0].blocks(inputs), groups[1].blocks(outputs))
    observer.tick(20.0)
    question = observer.question(20.0)
    observer.step(question, question.answer(), 20.0)

    samples = _samples(Watched("m", "1", "d", "", observer))

    for figure in ("accuracy", "precision", "recall", "specificity", "f1", "roc_auc"):
        live = samples[f"estimated_performance m 1 {figure}"]
        assert live == pytest.approx(samples[f"reference_performance m 1 {figure}"], abs=0.1)
    plain = _samples(Watched("m", "1", "d", "", _observer(normal_profile(2, 500))))
    assert not [name for name in plain if "performance m" in name]
