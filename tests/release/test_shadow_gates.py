"""The gates of a shadow: which counts each takes, and when they decide nothing."""

from collections import Counter

import pytest

from server.monitoring.nearness import NearnessCounts
from server.monitoring.realised_figures import PairedCounts
from server.release.evidence import ShadowEvidence
from server.release.gate_settings import GateSettings
from server.release.gates import Reading, Report, Verdict
from server.release.shadow_gates import judge_shadow
from tests.support.evidence import shadow_evidence, spread

SETTINGS = GateSettings()


def judge(evidence: ShadowEvidence, settings: GateSettings = SETTINGS, **more: object) -> Report:
    """Judge a model that answers labels."""
    return judge_shadow(evidence, settings, **{"has_labels": True, **more})  # type: ignore[arg-type]


def reading(report: Report, gate: str) -> Reading:
    return next(one for one in report.readings if one.gate == gate)


def verdict(evidence: ShadowEvidence, gate: str, settings: GateSettings = SETTINGS) -> Verdict:
    return reading(judge(evidence, settings), gate).verdict


def test_an_equal_candidate_passes_every_gate() -> None:
    """Labels are not asked for, so that their gate is not there."""
    report = judge(shadow_evidence())

    assert report.verdict is Verdict.PASS
    assert [one.gate for one in report.readings] == [
        "disagreement",
        "errors",
        "faults",
        "slow",
        "scores",
    ]


def test_without_pairs_there_is_no_data() -> None:
    """Neither pass nor fail, in no gate."""
    report = judge(ShadowEvidence())

    assert {one.verdict for one in report.readings} == {Verdict.NO_DATA}
    assert report.verdict is Verdict.NO_DATA


def test_three_in_a_hundred_flips_fail_a_budget_of_two() -> None:
    """And one in two hundred passes."""
    assert verdict(shadow_evidence(10_000, label_flip=300), "disagreement") is Verdict.FAIL
    assert verdict(shadow_evidence(10_000, label_flip=50), "disagreement") is Verdict.PASS


def test_scores_that_move_are_no_disagreement_of_a_model_with_labels() -> None:
    """A new training run moves all of them; of a model of numbers, they are the answer."""
    moved = shadow_evidence(5000, out_of_tolerance=4000, rank_flip=500, near_boundary=300)
    by_values = GateSettings.model_validate({"disagreement": {"counts": "values"}})

    assert verdict(moved, "disagreement") is Verdict.PASS
    assert verdict(moved, "disagreement", by_values) is Verdict.FAIL
    numbers = judge(moved, has_labels=False)
    assert reading(numbers, "disagreement").events == 4500


def test_noise_of_the_live_version_is_taken_off() -> None:
    """A model that draws its answers at random disagrees with itself as much."""
    evidence = shadow_evidence(10_000, label_flip=1000)
    evidence.noise = Counter(same=900, label_flip=100)

    found = reading(judge(evidence), "disagreement")
    assert found.verdict is not Verdict.FAIL
    assert "the live version itself differs in 100 of 1,000 pairs" in found.words
    evidence.pairs = Counter(same=6000, label_flip=4000)
    assert verdict(evidence, "disagreement") is Verdict.FAIL


def test_nobody_fails_before_the_noise_is_known() -> None:
    """What is not known of the live version could be it; whoever agrees passes all the same."""
    unknown = shadow_evidence(1000, noise=19, label_flip=500)

    found = reading(judge(unknown), "disagreement")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "19 of 20 pairs" in found.words
    unknown.noise["same"] += 1
    assert verdict(unknown, "disagreement") is Verdict.FAIL
    assert verdict(shadow_evidence(1000, noise=0), "disagreement") is Verdict.PASS


def test_a_segment_fails_the_candidate_for_all() -> None:
    """By its own budget or its feature's; it need not pass."""
    evidence = shadow_evidence(20_000, label_flip=60)
    evidence.segments = {
        "sex=f": Counter(same=19_000, label_flip=10),
        "sex=m": Counter(same=500, label_flip=50),
        "sex=x": Counter(same=3),
    }

    found = reading(judge(evidence), "disagreement")
    assert found.verdict is Verdict.FAIL
    assert "in segment sex=m 50 of 550 pairs differ, budget 0.02" in found.words
    for allowed in ("sex", "sex=m"):
        table = {"disagreement": {"segments": {allowed: 0.2}}}
        assert verdict(evidence, "disagreement", GateSettings.model_validate(table)) is Verdict.PASS


def test_rows_that_cannot_be_answered_are_errors() -> None:
    """Whatever kind; they are named."""
    found = reading(judge(shadow_evidence(5000, nan=100, error=50, timeout=5)), "errors")

    assert found.verdict is Verdict.FAIL
    assert "100 nan, 50 error, 5 timeout" in found.words
    assert verdict(shadow_evidence(5000, error=2), "errors") is Verdict.PASS


def test_one_crash_keeps_a_candidate_from_passing_and_three_end_it() -> None:
    """Even if no pair came of it: live, it would take a worker with it."""
    once, often = shadow_evidence(), ShadowEvidence(findings=Counter(crash=2, hang=1))
    once.findings["crash"] += 1

    assert reading(judge(once), "faults").words.endswith("1 crash")
    assert judge(once).verdict is Verdict.INCONCLUSIVE
    assert reading(judge(often), "faults").verdict is Verdict.FAIL
    assert judge(often).verdict is Verdict.FAIL
    assert reading(judge(shadow_evidence(400)), "faults").more == 600


def test_a_candidate_that_takes_much_longer_is_slow() -> None:
    """In far more batches than the live version; a few of many are neither."""
    slow, alike, few = (shadow_evidence(judged=2000) for _ in range(3))
    slow.candidate_only_slow, slow.live_only_slow = 400, 10
    alike.candidate_only_slow = alike.live_only_slow = 300
    few.candidate_only_slow = 4

    slow.timed_rows, slow.candidate_cpu_seconds, slow.live_cpu_seconds = 1000, 0.5, 0.25
    times = "500 µs of processor time a row, the live version 250"
    assert times in reading(judge(slow), "slow").words
    assert verdict(slow, "slow") is Verdict.FAIL
    assert verdict(alike, "slow") is Verdict.PASS
    assert verdict(few, "slow") is Verdict.PASS
    assert verdict(shadow_evidence(judged=40), "slow") is Verdict.INCONCLUSIVE
    assert verdict(shadow_evidence(judged=0), "slow") is Verdict.NO_DATA


def test_scores_are_held_to_the_live_ones() -> None:
    """A distribution that moves far fails, one that moves little passes."""
    far, near, none = (shadow_evidence(20_000) for _ in range(3))
    far.candidate_scores, near.candidate_scores = spread(20_000, 0.1), spread(20_000, 0.002)
    none.candidate_scores = none.live_scores = [0] * 200
    near.score_differences[0] = 20_000
    assert "are at most 1e-06 apart" in reading(judge(near), "scores").words

    assert verdict(far, "scores") is Verdict.FAIL
    assert verdict(near, "scores") is Verdict.PASS
    assert "scores" not in {one.gate for one in judge(none).readings}
    assert reading(judge(shadow_evidence(1000)), "scores").more == pytest.approx(2000, rel=0.3)


def test_labels_hold_nothing_up_unless_they_are_required() -> None:
    """They may never come."""
    required = GateSettings.model_validate({"accuracy": {"required": True}})

    assert judge(shadow_evidence(), labels=PairedCounts(both=3)).verdict is Verdict.PASS
    assert judge(shadow_evidence(), required).verdict is Verdict.INCONCLUSIVE
    many = PairedCounts(both=2000)
    assert judge(shadow_evidence(), required, labels=many).verdict is Verdict.PASS


def test_models_of_numbers_are_judged_by_who_is_nearer() -> None:
    """Once there are labels, or where they are required; it stops a candidate that is worse."""
    required = GateSettings.model_validate({"nearness": {"required": True}})

    report = judge(shadow_evidence(), nearness=NearnessCounts(800, 200))
    assert [one.gate for one in report.readings if one.gate in ("accuracy", "nearness")] == [
        "nearness"
    ]
    assert report.verdict is Verdict.FAIL
    assert judge(shadow_evidence(), required).verdict is Verdict.INCONCLUSIVE


def test_too_many_dropped_batches_decide_nothing() -> None:
    """What was compared does not stand for what was asked; faults still count."""
    evidence = shadow_evidence(10_000, label_flip=5000)
    evidence.dropped = Counter(queue_full=2000, size=1)
    evidence.findings = Counter(crash=3)

    report = judge(evidence)
    assert reading(report, "disagreement").verdict is Verdict.INCONCLUSIVE
    assert "2,001 of 10,000 drawn batches dropped (2000 queue_full, 1 size)" in (
        reading(report, "errors").words
    )
    assert reading(report, "faults").verdict is Verdict.FAIL


def test_fewer_batches_drawn_by_chance_are_no_loss() -> None:
    """Nor a while without any; of those that are left, too many may be dropped all the same."""
    evidence = shadow_evidence(5000)
    evidence.sampled_batches = 20_000
    evidence.dropped = Counter(pressure=12_000, down=1000, not_loaded=2000)

    assert judge(evidence).verdict is Verdict.PASS
    evidence.dropped["queue_full"] = 1001
    assert "1,001 of 5,000 drawn" in reading(judge(evidence), "scores").words


def test_a_gate_that_is_off_is_not_looked_at() -> None:
    """And the others have more of the chance of a false failure."""
    off = GateSettings.model_validate({"off": ["disagreement", "scores"]})
    report = judge(shadow_evidence(10_000, label_flip=5000), off)

    assert report.verdict is Verdict.PASS
    assert [one.gate for one in report.readings] == ["errors", "faults", "slow"]
