"""What looking again and again does to a test that is made for one look, and to ours.

Decides when nothing is there: a rate that is exactly its budget, two versions that are equally
right, a canary that fails as often as the live version while failures come and go. Whatever is
claimed then is false. Both tests are at 5 %, and both look as often.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from loadtests.release.canary_runs import CanaryTrial
from server.release.canary_evidence import Requests
from server.statistics.evalue import Split, is_rate_above, is_rate_below, log_e_of_ratio

ALPHA = 0.05
NORMAL_QUANTILE = 1.96
LOOK_PAIRS = 50
PAIRS = 20_000
LEAST = 200

Looks = Iterator[tuple[bool, bool]]
"""At each look, whether the test for one look claims something, and whether ours does."""

Trial = Callable[[np.random.Generator], Looks]


@dataclass(frozen=True, slots=True)
class Claims:
    """Shares of the runs in which something was claimed at any look."""

    naive: float
    ours: float


def claims(looks: Trial, runs: int, seed: int) -> Claims:
    """Repeat a run in which nothing is there."""
    naive = ours = 0
    for number in range(runs):
        seen = [False, False]
        for look in looks(np.random.default_rng([seed, number])):
            seen = [before or now for before, now in zip(seen, look, strict=True)]
        naive, ours = naive + seen[0], ours + seen[1]
    return Claims(naive / runs, ours / runs)


def at_budget(rate: float) -> Trial:
    """Return a run of pairs that differ exactly as often as they may."""

    def looks(generator: np.random.Generator) -> Looks:
        counts = generator.binomial(LOOK_PAIRS, rate, PAIRS // LOOK_PAIRS).cumsum()
        for number, events in enumerate(counts.tolist(), 1):
            total = number * LOOK_PAIRS
            if total >= LEAST:
                spread = math.sqrt(total * rate * (1.0 - rate))
                naive = abs(events - total * rate) > NORMAL_QUANTILE * spread
                below = is_rate_below(events, total, rate, ALPHA)
                yield naive, below or is_rate_above(events, total, rate, ALPHA)

    return looks


def equally_right(discordant: float) -> Trial:
    """Return a run of labelled pairs: of those that differ, each version is right in half."""

    def looks(generator: np.random.Generator) -> Looks:
        shares = [discordant / 2, discordant / 2, 1.0 - discordant]
        counts = generator.multinomial(LOOK_PAIRS, shares, PAIRS // LOOK_PAIRS).cumsum(axis=0)
        for number, (losses, gains, _) in enumerate(counts.tolist(), 1):
            either = losses + gains
            if number * LOOK_PAIRS >= LEAST and either:
                naive = abs(losses - gains) > NORMAL_QUANTILE * math.sqrt(either)
                below = is_rate_below(losses, either, 0.5, ALPHA)
                yield naive, below or is_rate_above(losses, either, 0.5, ALPHA)

    return looks


def equal_canary(*, has_keys: bool) -> Trial:
    """Return a run of a canary that fails as often as the live version, in an incident too."""
    trial = CanaryTrial(has_keys=has_keys)

    def looks(generator: np.random.Generator) -> Looks:
        for _, evidence in trial.looks(generator):
            steps = list(evidence.steps.values())
            splits = [
                Split(one.canary.failures, one.live.failures, one.canary.total / total)
                for one in steps
                if (total := one.canary.total + one.live.total)
            ]
            ours = log_e_of_ratio(splits, 1.0) > -math.log(ALPHA)
            yield _differ(steps[-1].canary, steps[-1].live), ours

    return looks


def _differ(ours: Requests, others: Requests) -> bool:
    """Test two shares of failures once, by the normal approximation, within the present step."""
    if ours.total * others.total * (ours.failures + others.failures) == 0:
        return False
    both = (ours.failures + others.failures) / (ours.total + others.total)
    spread = math.sqrt(both * (1.0 - both) * (1 / ours.total + 1 / others.total))
    gap = abs(ours.failures / ours.total - others.failures / others.total)
    return gap > NORMAL_QUANTILE * spread
