"""The gates of a canary, and of a version that has just been promoted: real requests.

Decides which counts each gate takes. Base rates of failures and of slow requests rise and fall with
the day; both versions feel that alike, so that only the ratio of their rates is tested, and only
where it can be: a version is not punished for an incident that hits all. The evidence of all steps
is added up.

A worker that dies tells nothing of what it was answering, so that workers which had to be replaced
are held against whatever canary there was.

A canary's share of the requests is what was counted, not its weight: with routing keys, some users
ask more often than others. Only requests without a key must come in the share that the weight says;
if they do not, the gateway itself is in doubt, and nobody is blamed.

Pure.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter

from server.release.canary_evidence import CanaryEvidence, Requests, StepCounts
from server.release.gate_settings import GateName, GateSettings
from server.release.gates import (
    ALPHA_FAIL,
    ALPHA_PASS,
    FAIL_PAIRS,
    Question,
    Reading,
    Report,
    Verdict,
    answer,
    judge_faults,
    rate_question,
)
from server.release.route import ALL_BP
from server.statistics.evalue import (
    Split,
    best_ratio,
    is_rate_below,
    log_e_of_ratio,
    ratio_interval,
)

LEAST_FAILED = 5
"""Failures, or slow requests, of a canary below which nothing is held against it."""


def judge_canary(evidence: CanaryEvidence, settings: GateSettings) -> Report:
    """Say what the gates say of a canary; those that do not apply are left out."""
    harms = [one for one in _harms(evidence, settings) if one.gate not in settings.off]
    is_even = any(_unkeyed(counts) for counts in evidence.steps.values())
    is_held_to_weight = is_even and "sample_ratio" not in settings.off
    alpha = ALPHA_FAIL / (len(harms) + is_held_to_weight or 1)
    readings = [_judge_harm(harm, evidence, settings.min_pairs, alpha) for harm in harms]
    if "canary_faults" not in settings.off:
        words = "worker lost" if evidence.lost_workers == 1 else "workers lost"
        lost, total = {words: evidence.lost_workers}, evidence.canary.total
        readings.append(judge_faults("canary_faults", lost, total, settings.min_pairs, "requests"))
    if is_held_to_weight:
        readings.append(_sample_ratio(evidence, alpha))
    return Report(tuple(readings))


def judge_live(requests: Requests, settings: GateSettings) -> Report:
    """Say whether requests fail beyond their budget since a version was promoted."""
    if "live_errors" in settings.off:
        return Report()
    failures, total, budget = requests.failures, requests.total, settings.live_errors.budget
    question = rate_question("live_errors", failures, total, budget, ALPHA_FAIL, settings.min_pairs)
    return Report((answer(replace(question, unit="requests")),))


@dataclass(frozen=True, slots=True)
class _Harm:
    """Something that happens to requests and should not."""

    gate: GateName
    count: Callable[[Requests], int]
    """Of the requests that `total` counts, those to which it happens."""
    total: Callable[[Requests], int]
    budget: float
    max_ratio: float
    is_failure_above: float = 0.0
    """Share of the canary's requests up to which it has not failed, whatever the ratio."""
    reason: str = ""


def _harms(evidence: CanaryEvidence, settings: GateSettings) -> list[_Harm]:
    errors, slow = settings.canary_errors, settings.canary_slow
    harms = [_Harm("canary_errors", _failures, _total, errors.budget, errors.max_ratio)]
    if evidence.slow_seconds > 0.0:
        words = f"slow is above {evidence.slow_seconds * 1e3:g} ms"
        limits = slow.budget, slow.max_ratio, slow.budget
        harms.append(_Harm("canary_slow", _slow, _timed, *limits, words))
    return harms


_failures, _total, _slow, _timed = map(attrgetter, ("failures", "total", "slow", "timed"))


def _judge_harm(
    harm: _Harm, evidence: CanaryEvidence, min_pairs: int, alpha_fail: float
) -> Reading:
    """Hold the canary to the live version, or to the budget where too little happens to compare."""
    events, total = harm.count(evidence.canary), harm.total(evidence.canary)
    splits = [_split(counts, harm) for counts in evidence.steps.values()]
    ratio, either = best_ratio(splits), ALPHA_PASS / 2.0

    def rejects(k: float, tested: float, alpha: float) -> bool:
        grown = [Split(k * one.ours, k * one.others, one.share) for one in splits]
        return log_e_of_ratio(grown, tested) > -math.log(alpha)

    def has_passed(k: float) -> bool:
        is_rare = is_rate_below(k * events, k * total, harm.budget, either)
        is_alike = ratio < harm.max_ratio and rejects(k, harm.max_ratio, either)
        return k * total >= min_pairs and (is_rare or is_alike)

    def has_failed(k: float) -> bool:
        is_plain = k * events >= LEAST_FAILED and events > harm.is_failure_above * total
        return is_plain and ratio > harm.max_ratio and rejects(k, 1.0, alpha_fail)

    reading = answer(
        Question(
            harm.gate,
            ratio,
            ratio_interval(splits, ALPHA_PASS),
            harm.max_ratio,
            events,
            total,
            has_passed,
            has_failed,
            unit="requests",
        )
    )
    return replace(reading, reason=harm.reason)


def _split(counts: StepCounts, harm: _Harm) -> Split:
    ours, both = harm.total(counts.canary), harm.total(counts.canary) + harm.total(counts.live)
    return Split(harm.count(counts.canary), harm.count(counts.live), ours / both if both else 0.0)


def _sample_ratio(evidence: CanaryEvidence, alpha: float) -> Reading:
    """Hold the split to its weights: a bug in it would make all else worthless."""
    splits = [
        Split(one.canary.unkeyed, one.live.unkeyed, one.weight_bp / ALL_BP)
        for one in evidence.steps.values()
    ]
    total = sum(_unkeyed(one) for one in evidence.steps.values())
    ratio, interval = best_ratio(splits), ratio_interval(splits, ALPHA_PASS)
    is_off = log_e_of_ratio(splits, 1.0) > -math.log(alpha)
    verdict = Verdict.INCONCLUSIVE
    if total >= FAIL_PAIRS:
        verdict = Verdict.FAIL if is_off else Verdict.PASS
    is_seen = not math.isnan(ratio)
    return Reading(
        "sample_ratio",
        verdict,
        observed=ratio if is_seen else None,
        low=interval.low if is_seen else None,
        high=interval.high if is_seen else None,
        limit=1.0,
        events=sum(one.canary.unkeyed for one in evidence.steps.values()),
        total=total,
        unit="requests",
        more=FAIL_PAIRS - total if total < FAIL_PAIRS else None,
        reason="the canary's share is not its weight" if verdict is Verdict.FAIL else "",
        blames_candidate=False,
    )


def _unkeyed(counts: StepCounts) -> int:
    return counts.canary.unkeyed + counts.live.unkeyed
