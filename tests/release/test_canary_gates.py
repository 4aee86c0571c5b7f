"""The gates of a canary: ratios where they can be told, budgets where nothing happens."""

import pytest

from server.release.canary_evidence import CanaryEvidence, Requests
from server.release.canary_gates import judge_canary, judge_live
from server.release.gate_settings import GateSettings
from server.release.gates import Reading, Verdict
from tests.support.evidence import canary_evidence, requests

SETTINGS = GateSettings()


def reading(evidence: CanaryEvidence, gate: str) -> Reading:
    report = judge_canary(evidence, SETTINGS)
    return next(one for one in report.readings if one.gate == gate)


def test_a_canary_without_a_failure_passes() -> None:
    """There is nothing to compare, but its own share of failures is surely small."""
    report = judge_canary(canary_evidence(requests(1000), requests(19_000)), SETTINGS)

    assert report.verdict is Verdict.PASS
    assert [one.gate for one in report.readings] == [
        "canary_errors",
        "canary_slow",
        "canary_faults",
        "sample_ratio",
    ]


def test_without_requests_there_is_no_data() -> None:
    """Neither of a canary nor of a version that was promoted."""
    assert judge_canary(CanaryEvidence(), SETTINGS).verdict is Verdict.NO_DATA
    assert judge_live(Requests(), SETTINGS).verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("failures", "others", "expected"),
    [
        (60, 200, Verdict.FAIL),
        (200, 4000, Verdict.PASS),  # An incident that hits both alike.
        (4, 0, Verdict.PASS),
        (15, 200, Verdict.INCONCLUSIVE),
    ],
)
def test_failures_are_held_to_those_of_the_live_version(
    failures: int, others: int, expected: Verdict
) -> None:
    """Not to what is usual: an incident is no fault of the canary."""
    evidence = canary_evidence(requests(2000, failures), requests(38_000, others))

    assert reading(evidence, "canary_errors").verdict is expected


def test_slow_requests_are_judged_alike_but_need_to_be_many() -> None:
    """Ten times as often, and still one in a thousand, is no failure."""
    rare = canary_evidence(requests(20_000, slow=20), requests(380_000, slow=38))
    many = canary_evidence(requests(20_000, slow=1000), requests(380_000, slow=3800))

    assert reading(rare, "canary_slow").verdict is Verdict.PASS
    assert reading(many, "canary_slow").verdict is Verdict.FAIL
    assert "slow is above 50 ms" in reading(many, "canary_slow").words


def test_steps_of_different_weights_are_added_up() -> None:
    """Shares change from step to step; pooled, they would claim what is not there."""
    evidence = CanaryEvidence(0.05)
    evidence.add(0, 100, requests(1000, failures=1), requests(99_000, failures=99))
    evidence.add(1, 5000, requests(50_000, failures=1500), requests(50_000, failures=1500))

    found = reading(evidence, "canary_errors")
    assert found.observed == pytest.approx(1.0, rel=0.01)
    assert found.verdict is Verdict.PASS
    assert found.total == 51_000


def test_a_split_that_is_not_its_weight_puts_the_gateway_in_doubt() -> None:
    """Of requests without a key; with keys, shares of requests are anything."""
    wrong = canary_evidence(requests(1000), requests(9000))
    keyed = canary_evidence(requests(1000, unkeyed=50), requests(9000, unkeyed=950))
    none = canary_evidence(requests(1000, unkeyed=0), requests(9000, unkeyed=0))

    found = reading(wrong, "sample_ratio")
    assert found.verdict is Verdict.FAIL
    assert not found.blames_candidate
    assert reading(keyed, "sample_ratio").verdict is Verdict.PASS
    assert "sample_ratio" not in {one.gate for one in judge_canary(none, SETTINGS).readings}
    few = canary_evidence(requests(5), requests(95))
    assert reading(few, "sample_ratio").more == 100


def test_lost_workers_are_held_against_the_canary() -> None:
    """One keeps it from passing, three end it."""
    evidence = canary_evidence(requests(1000), requests(19_000))

    for lost, verdict in ((0, Verdict.PASS), (1, Verdict.INCONCLUSIVE), (3, Verdict.FAIL)):
        evidence.lost_workers = lost
        assert judge_canary(evidence, SETTINGS).verdict is verdict
    evidence.lost_workers = 1
    assert reading(evidence, "canary_faults").reason == "1 worker lost"


def test_gates_that_are_off_or_do_not_apply_are_left_out() -> None:
    """Nothing is slow while nobody has said what slow is."""
    names = ["canary_errors", "canary_faults", "sample_ratio", "live_errors"]
    off = GateSettings.model_validate({"off": names})
    evidence = canary_evidence(requests(1000), requests(19_000), slow_seconds=0.0)

    assert judge_canary(evidence, off).readings == ()
    assert judge_live(requests(1000, failures=1000), off).readings == ()


def test_a_promoted_version_is_held_to_its_budget() -> None:
    """One in a hundred by default."""
    assert judge_live(requests(2000, failures=100), SETTINGS).verdict is Verdict.FAIL
    assert judge_live(requests(2000, failures=1), SETTINGS).verdict is Verdict.PASS
    assert judge_live(requests(100, failures=100), SETTINGS).verdict is Verdict.INCONCLUSIVE
