"""What a gate says of a candidate, and what all gates together say.

Decides the four verdicts and how they add up:

    pass          surely within its budget, and seen often enough
    fail          surely beyond it
    inconclusive  neither, yet
    no_data       nothing was seen

Only when every gate that is required passes may a candidate go on, so that a bad one is let through
no more often than the worst single gate errs: `ALPHA_PASS` is not shared out. One gate that fails
is enough to stop it, so `ALPHA_FAIL` is shared out over the gates. All verdicts may be looked at
at any time (`statistics/evalue.py`). A burst of traffic that is not like the rest is no proof,
whatever the figures: nothing passes below `min_pairs`, nor fails below `FAIL_PAIRS`.

Which counts a gate takes is in `shadow_gates.py` and `canary_gates.py`, what follows from a verdict
in `automatic.py`. Pure.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from server.release.gate_settings import GateName
from server.statistics.evalue import Interval, growth_needed, is_rate_above, is_rate_below
from server.statistics.evalue import rate_interval as interval_of

MAX_FAULTS = 3
"""Crashes, hangs and the like from which a candidate has failed; one may be the machine's."""

ALPHA_PASS = 0.05
ALPHA_FAIL = 0.01
FAIL_PAIRS = 200


class Verdict(StrEnum):
    """What a gate says."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one gate says, and why."""

    gate: GateName
    verdict: Verdict
    observed: float | None = None
    """The rate, ratio or distance that was seen; None without data."""
    low: float | None = None
    high: float | None = None
    """What it may be in truth, at `ALPHA_PASS`; None if it may be any."""
    limit: float = 0.0
    """What it is held to."""
    events: int = 0
    total: int = 0
    unit: str = "pairs"
    """What `total` counts."""
    more: int | None = None
    """About how many more of these it takes to decide, if all goes on as it was."""
    reason: str = ""
    """What the figures do not say."""
    is_required: bool = True
    """Whether nothing goes on until it passes."""
    blames_candidate: bool = True
    """Whether a failure is the candidate's; else the gateway itself is in doubt."""

    @property
    def words(self) -> str:
        """What an operator reads in a line."""
        parts = [f"{self.gate}: {self.verdict.value.replace('_', ' ')}"]
        if self.observed is not None:
            parts.append(_figures(self))
        if self.reason:
            parts.append(self.reason)
        if self.more is not None:
            parts.append(f"about {self.more:,} more {self.unit} needed")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the reading as JSON values; what is not finite is None."""
        value = asdict(self) | {"words": self.words}
        return {
            name: None if isinstance(one, float) and not math.isfinite(one) else one
            for name, one in value.items()
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What all gates say of one candidate."""

    readings: tuple[Reading, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Fail if one fails, pass if all that are required pass, no data if none has any."""
        verdicts = {one.verdict for one in self.readings}
        required = {one.verdict for one in self.readings if one.is_required}
        if Verdict.FAIL in verdicts:
            return Verdict.FAIL
        if required == {Verdict.PASS}:
            return Verdict.PASS
        return Verdict.NO_DATA if required <= {Verdict.NO_DATA} else Verdict.INCONCLUSIVE

    @property
    def unproven(self) -> tuple[str, ...]:
        """In words, the gates that keep the candidate from going on."""
        return tuple(
            one.words
            for one in self.readings
            if one.verdict is Verdict.FAIL or (one.is_required and one.verdict is not Verdict.PASS)
        )

    @property
    def failed(self) -> tuple[Reading, ...]:
        """The gates that fail."""
        return tuple(one for one in self.readings if one.verdict is Verdict.FAIL)


@dataclass(frozen=True, slots=True)
class Question:
    """A gate's counts, and what decides it: both tests are asked at a multiple of the counts."""

    gate: GateName
    observed: float
    interval: Interval
    limit: float
    events: int
    total: int
    has_passed: Callable[[float], bool]
    has_failed: Callable[[float], bool]
    unit: str = "pairs"


def answer(question: Question) -> Reading:
    """Judge a gate; `more` is forecast when neither test decides."""
    verdict, more = Verdict.INCONCLUSIVE, None
    if question.total <= 0:
        verdict = Verdict.NO_DATA
    elif question.has_failed(1.0):
        verdict = Verdict.FAIL
    elif question.has_passed(1.0):
        verdict = Verdict.PASS
    else:
        growth = growth_needed(lambda k: question.has_passed(k) or question.has_failed(k))
        more = None if growth is None else rounded((growth - 1.0) * question.total)
    is_seen = question.total > 0 and not math.isnan(question.observed)
    return Reading(
        question.gate,
        verdict,
        observed=question.observed if is_seen else None,
        low=question.interval.low if is_seen else None,
        high=question.interval.high if is_seen else None,
        limit=question.limit,
        events=question.events,
        total=question.total,
        unit=question.unit,
        more=more,
    )


def rate_question(
    gate: GateName, events: int, total: int, budget: float, alpha_fail: float, min_pairs: int
) -> Question:
    """Ask whether a rate keeps to its budget."""
    return Question(
        gate,
        events / total if total else math.nan,
        interval_of(events, total, ALPHA_PASS),
        budget,
        events,
        total,
        lambda k: (
            k * total >= min_pairs and is_rate_below(k * events, k * total, budget, ALPHA_PASS)
        ),
        lambda k: (
            k * total >= FAIL_PAIRS and is_rate_above(k * events, k * total, budget, alpha_fail)
        ),
    )


def judge_faults(
    gate: GateName, faults: Mapping[str, int], total: int, min_pairs: int, unit: str
) -> Reading:
    """Hold a candidate to not ending or blocking the process that runs it."""
    count = sum(faults.values())
    verdict, more = Verdict.INCONCLUSIVE, None
    if count >= MAX_FAULTS:
        verdict = Verdict.FAIL
    elif not count and not total:
        verdict = Verdict.NO_DATA
    elif not count and total >= min_pairs:
        verdict = Verdict.PASS
    elif not count:
        more = min_pairs - total
    return Reading(
        gate,
        verdict,
        limit=MAX_FAULTS,
        events=count,
        total=total,
        unit=unit,
        more=more,
        reason=counted(faults),
    )


def unsure(reading: Reading, reason: str) -> Reading:
    """Return a reading that decides nothing, because its counts cannot be relied on."""
    verdict = Verdict.NO_DATA if reading.verdict is Verdict.NO_DATA else Verdict.INCONCLUSIVE
    return replace(reading, verdict=verdict, reason=reason, more=None)


def rounded(number: float) -> int:
    """Return a count to two digits, rounded up: it is a forecast."""
    whole = math.ceil(number)
    scale: int = 10 ** max(0, len(str(whole)) - 2)
    return -(-whole // scale) * scale


def alpha_fail(gates: Sequence[str]) -> float:
    """Return the share of `ALPHA_FAIL` that each of the gates has."""
    return ALPHA_FAIL / max(1, len(gates))


def counted(counts: Mapping[str, int]) -> str:
    """Say what there is of each, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count} {name}" for name, count in ordered if count)


def _figures(reading: Reading) -> str:
    """Say what was seen, and of how many."""
    assert reading.observed is not None
    seen = f"{reading.observed:.3g}"
    if reading.low is not None and reading.high is not None:
        seen += f" ({reading.low:.3g} to {reading.high:.3g})"
    return (
        f"{seen} against {reading.limit:g}, {reading.events:,} of {reading.total:,} {reading.unit}"
    )
