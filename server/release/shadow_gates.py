"""The gates of a shadow: its answers beside the live ones, on the same inputs.

Decides which counts of a candidate's evidence each gate takes, and when they cannot be relied on:

* Of a model that answers labels or class scores, a pair differs if the label does: a new training
  run moves every score a little. Of any other, if a value is beyond its tolerance.
* What the live version does to its own answers, run again in other batches, is noise. It is taken
  off the candidate's disagreement, as far as it is known; no candidate fails before it is.
* Copies are dropped when the gateway is busy, so that what was compared is not what was asked. With
  more than a fifth dropped, rates decide nothing. It is no such loss to draw fewer by chance
  (`pressure`), nor to compare none for a while, whatever they are (`down`, `not_loaded`): what
  the candidate itself did to the process is in its faults.
* A segment may fail the candidate for all, but need not pass by itself: many are too small to.

Pure.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from server.release.evidence import FAILING, Kind, ShadowEvidence, usual_difference
from server.release.gate_settings import GateName, GateSettings
from server.release.gates import (
    ALPHA_PASS,
    FAIL_PAIRS,
    Question,
    Reading,
    Report,
    Verdict,
    alpha_fail,
    answer,
    counted,
    judge_faults,
    rate_question,
    unsure,
)
from server.release.label_gates import (
    NO_ERRORS,
    NO_LABELS,
    PairedErrors,
    PairedLabels,
    judge_accuracy,
    judge_nearness,
)
from server.statistics.evalue import (
    Interval,
    cdf_band,
    is_rate_above,
    is_rate_below,
    rate_interval,
)

MAX_DROPPED = 0.2
"""Share of the sampled batches beyond which the others do not stand for all."""
MIN_NOISE_PAIRS = 20
"""Of the live version against itself; without them, its noise could be taken for the candidate's
fault. Real noise is either next to nothing or seen in a few pairs: answers are drawn at random."""
NOISE_SHARE = 0.1
"""Of an alpha: spent on the noise, the rest on the disagreement."""
LEAST_SLOW = 5

_MOST = 0.9
_FLIPS = FAILING | {Kind.LABEL_FLIP}
_VALUES = _FLIPS | {Kind.RANK_FLIP, Kind.OUT_OF_TOLERANCE}
_HARMLESS = ("pressure", "down", "not_loaded")
_RATES: tuple[GateName, ...] = ("disagreement", "errors", "slow", "scores")


@dataclass(frozen=True, slots=True)
class _Case:
    """What every gate of a shadow is told."""

    evidence: ShadowEvidence
    settings: GateSettings
    has_labels: bool
    labels: PairedLabels
    nearness: PairedErrors
    alpha_fail: float

    @property
    def pairs(self) -> int:
        return self.evidence.pairs.total()


def judge_shadow(
    evidence: ShadowEvidence,
    settings: GateSettings,
    *,
    has_labels: bool,
    labels: PairedLabels = NO_LABELS,
    nearness: PairedErrors = NO_ERRORS,
) -> Report:
    """Say what the gates say of a shadow; those that do not apply to the model are left out.

    `has_labels` says whether the model answers labels or class scores.
    """
    applies: dict[GateName, bool] = {
        "scores": not evidence.pairs or any(evidence.live_scores),
        "accuracy": settings.accuracy.required or labels.rows > 0,
        "nearness": settings.nearness.required or nearness.rows > 0,
    }
    names = [name for name in _JUDGES if name not in settings.off and applies.get(name, True)]
    case = _Case(evidence, settings, has_labels, labels, nearness, alpha_fail(names))
    readings = [_JUDGES[name](case) for name in names]
    return Report(tuple(_distrusted(readings, evidence)))


def _distrusted(readings: Sequence[Reading], evidence: ShadowEvidence) -> Iterable[Reading]:
    """Take the verdict from rates if too much was dropped."""
    lost = Counter(evidence.dropped)
    drawn = evidence.sampled_batches - sum(lost.pop(reason, 0) for reason in _HARMLESS)
    dropped = lost.total()
    if dropped <= MAX_DROPPED * drawn:
        return readings
    reason = f"{dropped:,} of {drawn:,} drawn batches dropped ({counted(lost)})"
    return [unsure(one, reason) if one.gate in _RATES else one for one in readings]


def _disagreement(case: _Case) -> Reading:
    kinds = case.settings.disagreement.counts
    has_labels = case.has_labels if kinds == "auto" else kinds == "flips"
    differing = _FLIPS if has_labels else _VALUES
    budget, noise = case.settings.disagreement.budget, case.evidence.noise
    segments = case.evidence.segments
    alpha = case.alpha_fail / (1 + len(segments))
    noisy, noise_pairs = _count(noise, differing), noise.total()
    spent = NOISE_SHARE * ALPHA_PASS, NOISE_SHARE * alpha
    known = rate_interval(noisy, noise_pairs, spent[0]).low if noisy else 0.0
    feared = rate_interval(noisy, noise_pairs, spent[1]).high if noisy else 0.0
    events, total = _count(case.evidence.pairs, differing), case.pairs
    min_pairs = case.settings.min_pairs

    def has_passed(k: float) -> bool:
        allowed, left = min(budget + known, 1.0), ALPHA_PASS - spent[0]
        return k * total >= min_pairs and is_rate_below(k * events, k * total, allowed, left)

    def has_failed(k: float, events: int = events, total: int = total, own: float = budget) -> bool:
        allowed = min(own + feared, 1.0)
        is_enough = k * total >= FAIL_PAIRS and k * noise_pairs >= MIN_NOISE_PAIRS
        return is_enough and is_rate_above(k * events, k * total, allowed, alpha - spent[1])

    question = rate_question("disagreement", events, total, budget, alpha, min_pairs)
    reading = answer(replace(question, has_passed=has_passed, has_failed=has_failed))
    reading = replace(reading, reason=_reason(noisy, noise_pairs, reading))
    if reading.verdict is Verdict.FAIL:
        return reading
    for name, counts in sorted(segments.items()):
        own = _segment_budget(case.settings, name)
        events, total = _count(counts, differing), counts.total()
        if has_failed(1.0, events, total, own):
            of = f"in segment {name} {events:,} of {total:,} pairs differ, budget {own:g}"
            return replace(reading, verdict=Verdict.FAIL, reason=of, more=None)
    return reading


def _reason(noisy: int, noise_pairs: int, reading: Reading) -> str:
    if noisy:
        return f"the live version itself differs in {noisy:,} of {noise_pairs:,} pairs"
    is_open = reading.verdict is Verdict.INCONCLUSIVE
    if is_open and reading.observed and noise_pairs < MIN_NOISE_PAIRS:
        return f"the live version was held to itself in {noise_pairs} of {MIN_NOISE_PAIRS} pairs"
    return ""


def _segment_budget(settings: GateSettings, name: str) -> float:
    """Return the budget of "feature=value": its own, its feature's, or that of all."""
    own = settings.disagreement.segments
    feature = name.rpartition("=")[0]
    return own.get(name, own.get(feature, settings.disagreement.budget))


def _errors(case: _Case) -> Reading:
    failing = _count(case.evidence.pairs, FAILING)
    budget = case.settings.errors.budget
    reading = answer(
        rate_question(
            "errors", failing, case.pairs, budget, case.alpha_fail, case.settings.min_pairs
        )
    )
    kinds = {kind: count for kind, count in case.evidence.pairs.items() if kind in FAILING}
    return replace(reading, reason=counted(kinds))


def _faults(case: _Case) -> Reading:
    findings, min_pairs = case.evidence.findings, case.settings.min_pairs
    return judge_faults("faults", findings, case.pairs, min_pairs, "pairs")


def _slow(case: _Case) -> Reading:
    """Hold processor time to that of the live version, on the same rows and the same core."""
    gate, evidence = case.settings.slow, case.evidence
    ours, theirs = evidence.candidate_only_slow, evidence.live_only_slow
    total, min_pairs, either = evidence.judged_batches, case.settings.min_pairs, ALPHA_PASS / 2.0
    even = gate.max_ratio / (1.0 + gate.max_ratio)

    def has_passed(k: float) -> bool:
        is_rare = is_rate_below(k * ours, k * total, gate.budget, either)
        is_alike = is_rate_below(k * ours, k * (ours + theirs), even, either)
        return k * case.pairs >= min_pairs and (is_rare or is_alike)

    def has_failed(k: float) -> bool:
        is_plain = k * ours >= LEAST_SLOW and ours > gate.max_ratio * theirs
        return (
            is_plain
            and ours > gate.budget * total
            and is_rate_above(k * ours, k * (ours + theirs), 0.5, case.alpha_fail)
        )

    reading = answer(
        Question(
            "slow",
            ours / total if total else math.nan,
            rate_interval(ours, total, ALPHA_PASS),
            gate.budget,
            ours,
            total,
            has_passed,
            has_failed,
            unit="timed batches",
        )
    )
    learned = f"how long the live version takes is being learned: {evidence.timed_batches} batches"
    return replace(reading, reason=_row_times(evidence) if total else learned)


def _row_times(evidence: ShadowEvidence) -> str:
    if not evidence.timed_rows:
        return ""
    ours, theirs = (
        1e6 * seconds / evidence.timed_rows
        for seconds in (evidence.candidate_cpu_seconds, evidence.live_cpu_seconds)
    )
    return f"{ours:.3g} µs of processor time a row, the live version {theirs:.3g}"


def _scores(case: _Case) -> Reading:
    """Hold the distribution of scores to the live one; both are of the same inputs."""
    ours, theirs = case.evidence.candidate_scores, case.evidence.live_scores
    rows, distance = min(sum(ours), sum(theirs)), _distance(ours, theirs)
    limit, min_pairs = case.settings.scores.limit, case.settings.min_pairs

    def doubt(k: float, alpha: float) -> float:
        # Either distribution may be off by a band, each with half of alpha.
        return 2.0 * cdf_band(k * rows, alpha / 2.0)

    seen = doubt(1.0, ALPHA_PASS)
    reading = answer(
        Question(
            "scores",
            distance,
            Interval(max(0.0, distance - seen), min(1.0, distance + seen)),
            limit,
            rows,
            rows,
            lambda k: k * rows >= min_pairs and distance + doubt(k, ALPHA_PASS) < limit,
            lambda k: k * rows >= FAIL_PAIRS and distance - doubt(k, case.alpha_fail) > limit,
        )
    )
    usual = usual_difference(case.evidence.score_differences, _MOST)
    told = "" if usual is None else f"nine tenths of the scores are at most {usual:g} apart"
    return replace(reading, reason=told)


def _distance(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """Return the Kolmogorov-Smirnov distance of two histograms with the same edges."""
    if not any(ours) or not any(theirs):
        return 0.0
    both = zip(accumulate(ours), accumulate(theirs), strict=True)
    return max(abs(one / sum(ours) - two / sum(theirs)) for one, two in both)


def _accuracy(case: _Case) -> Reading:
    return judge_accuracy(
        case.labels, case.settings.accuracy, case.settings.min_pairs, case.alpha_fail
    )


def _nearness(case: _Case) -> Reading:
    return judge_nearness(
        case.nearness, case.settings.nearness, case.settings.min_pairs, case.alpha_fail
    )


_JUDGES: dict[GateName, Callable[[_Case], Reading]] = {
    "disagreement": _disagreement,
    "errors": _errors,
    "faults": _faults,
    "slow": _slow,
    "scores": _scores,
    "accuracy": _accuracy,
    "nearness": _nearness,
}


def _count(counts: Counter[str], kinds: Iterable[str]) -> int:
    return sum(counts[kind] for kind in kinds)
