"""The gates of a shadow that true labels decide: who was right, and who was nearer.

Decides from pairs: both versions answered the same row, and one label says which of them was
better. A class is right or wrong, so that the loss of accuracy can be estimated. Of numbers only
the sign of the difference is taken, which needs no bound on how large an error can be; how far off
the farther one was is in no count. Pure.
"""

import math
from dataclasses import dataclass, replace
from typing import Protocol

from server.release.gate_settings import AccuracyGate, NearnessGate
from server.release.gates import ALPHA_PASS, FAIL_PAIRS, Question, Reading, answer
from server.statistics.evalue import (
    Interval,
    is_rate_above,
    is_rate_below,
    paired_half_width,
    rate_interval,
)


class PairedLabels(Protocol):
    """Rows that both versions answered and whose true label is known, by who was right."""

    @property
    def live_only(self) -> int:
        """Rows on which only the live version was right."""

    @property
    def candidate_only(self) -> int:
        """Rows on which only the candidate was."""

    @property
    def rows(self) -> int:
        """All of them."""


class PairedErrors(Protocol):
    """Rows that both versions answered and whose true number is known, by who was nearer."""

    @property
    def live_nearer(self) -> int:
        """Rows on which the live version was nearer, by more than is tolerated."""

    @property
    def candidate_nearer(self) -> int:
        """Rows on which the candidate was."""

    @property
    def rows(self) -> int:
        """All of them."""


@dataclass(frozen=True, slots=True)
class _Nothing:
    """No labels."""

    live_only: int = 0
    candidate_only: int = 0
    live_nearer: int = 0
    candidate_nearer: int = 0
    rows: int = 0


NO_LABELS: PairedLabels = _Nothing()
NO_ERRORS: PairedErrors = _Nothing()


def judge_accuracy(
    labels: PairedLabels, gate: AccuracyGate, min_pairs: int, alpha_fail: float
) -> Reading:
    """Hold the share of right answers to the live one, on rows whose label has come."""
    losses, gains, rows = labels.live_only, labels.candidate_only, labels.rows
    loss = (losses - gains) / rows if rows else math.nan

    def has_passed(k: float) -> bool:
        if k * rows < min_pairs:
            return False
        if is_rate_below(k * (losses + gains), k * rows, gate.max_loss, ALPHA_PASS):
            return True  # So few differ at all that no loss could be larger.
        width = paired_half_width(k * losses, k * gains, k * rows, ALPHA_PASS)
        return width is not None and loss + width < gate.max_loss

    def has_failed(k: float) -> bool:
        is_worse = k * rows >= FAIL_PAIRS and loss > gate.max_loss
        return is_worse and is_rate_above(k * losses, k * (losses + gains), 0.5, alpha_fail)

    width = paired_half_width(losses, gains, rows, ALPHA_PASS)
    interval = Interval(-1.0, 1.0) if width is None else Interval(loss - width, loss + width)
    question = Question(
        "accuracy", loss, interval, gate.max_loss, losses, rows, has_passed, has_failed, "labels"
    )
    return replace(answer(question), is_required=gate.required)


def judge_nearness(
    errors: PairedErrors, gate: NearnessGate, min_pairs: int, alpha_fail: float
) -> Reading:
    """Hold the candidate to being farther off about as often as it is nearer.

    What differs in so few rows that the budget covers all in which it is farther off does not have
    to be half and half.
    """
    losses, gains, rows = errors.live_nearer, errors.candidate_nearer, errors.rows
    either, limit = ALPHA_PASS / 2.0, 0.5 + gate.budget
    differing = losses + gains
    share = losses / differing if differing else math.nan

    def has_passed(k: float) -> bool:
        is_rare = is_rate_below(k * losses, k * rows, gate.budget, either)
        is_even = is_rate_below(k * losses, k * differing, limit, either)
        return k * rows >= min_pairs and (is_rare or is_even)

    def has_failed(k: float) -> bool:
        is_plain = k * rows >= FAIL_PAIRS and losses > gate.budget * rows and share > limit
        return is_plain and is_rate_above(k * losses, k * differing, 0.5, alpha_fail)

    interval = rate_interval(losses, differing, ALPHA_PASS)
    question = Question(
        "nearness", share, interval, limit, losses, rows, has_passed, has_failed, "labels"
    )
    beside = f"nearer in {gains:,}, as near in {rows - differing:,}" if rows else ""
    return replace(answer(question), is_required=gate.required, reason=beside)
