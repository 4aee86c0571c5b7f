"""The rules for Prometheus reach the verdict of the gateway itself, on the same counts."""

import math
from pathlib import Path

import numpy as np
import pytest

from server.controlplane.monitor_counters import RATE_LABELS
from server.monitoring.counting import Counts
from server.monitoring.drift import Judge
from server.monitoring.profile import NumberProfile
from server.statistics.combine import RATES_SHARE, Part, Verdict, cauchy, kolmogorov_p
from server.statistics.homogeneity import shares_p
from server.statistics.smooth_test import COMPONENTS, shift
from server.statistics.tails import SMALLEST_P
from tests.support import prometheus
from tests.support.fleets import Fleet, varied_profile, varied_rows
from tests.support.prometheus import Expected

WINDOWS = {"10m": 10, "1h": 60}

EXACT = 1e-6
"""Of sums, standardised means, effects, and log p of what has a closed form: relative."""
TAIL = 0.04
"""Of p where chi-square has many degrees of freedom: PromQL has no loop for its sum."""
TABLE = 0.1
"""Of p of Fisher's test: by its saddlepoint, as PromQL has no logarithm of factorials."""
FAR_OUT = 1e-3
"""Of log p of both, where that is more."""
NO_EVIDENCE = 0.02
"""Probabilities above are not told apart."""


def expected_values(fleet: Fleet, *, with_bins: bool) -> list[Expected]:
    """Return what the rules must have recorded by now, from the verdicts of the gateway."""
    found: list[Expected] = []
    for window, minutes in WINDOWS.items():
        counts = fleet.window(minutes)
        for place, profile in enumerate(fleet.judge.profile.columns):
            of = f'feature="{profile.column.name}", window="{window}"'
            verdict = fleet.judge.verdict(place, counts)
            for part, rule, rate in _parts(fleet.judge, place, verdict):
                name = f'{{{of}, rule="{rule}", rate="{rate}"}}'
                found.append(_near(f"sum(tidegate_feature:part:effect{name})", part.effect, fleet))
                p, tolerance = part.p / part.share if part.share else 1.0, TABLE
                if rate == "distribution":
                    tolerance = TAIL if with_bins else 0.0
                    p = p if with_bins else _without_bins(fleet.judge, place, counts)
                if not (part.p < NO_EVIDENCE and p < 1.0):
                    told = f"(sum(tidegate_feature:part:p{name}) or vector(1))"
                    found.append(Expected(f"{told} > bool {NO_EVIDENCE / 2}", 1.0, fleet.minute))
                else:
                    told = f"ln(clamp_min(sum(tidegate_feature:part:p{name}), {SMALLEST_P}))"
                    expected = math.log(max(p, SMALLEST_P))
                    found.append(_near(told, expected, fleet, tolerance))
            if isinstance(profile, NumberProfile):
                found += _questions(fleet, place, of, counts, with_bins=with_bins)
    return found


def _parts(judge: Judge, place: int, verdict: Verdict) -> list[tuple[Part, str, str]]:
    """Return the parts of a verdict that say something, with their rules and labels."""
    main, *rates = verdict.parts
    named = [
        (part, plan.rule.value, RATE_LABELS[plan.name])
        for part, plan in zip(rates, judge.plans(place), strict=True)
    ]
    return [(main, "drift", main.name), *named] if main.share else named


def _without_bins(judge: Judge, place: int, counts: Counts) -> float:
    """Return the adjusted p of the three questions that scores alone can answer."""
    basis = judge.bases[place]
    assert basis is not None
    moved = shift(basis, judge.layout.number(counts, place).bins)
    answers = [moved.first_p(1), moved.first_p(2), moved.p]
    return cauchy(answers, [2.0, 2.0, 1.0]) / (1.0 - RATES_SHARE)


def _questions(
    fleet: Fleet, place: int, of: str, counts: Counts, *, with_bins: bool
) -> list[Expected]:
    """Return the components of a number, and the probability that answers each question."""
    basis = fleet.judge.bases[place]
    assert basis is not None
    live = fleet.judge.layout.number(counts, place).bins
    moved = shift(basis, live)
    if not moved.df:
        return []
    found = [
        _near(f'sum(tidegate_feature:score:normal{{{of}, component="{component}"}})', z, fleet)
        for component, z in zip(COMPONENTS, moved.normal.tolist(), strict=False)
    ]
    answers = {"location": moved.first_p(1), "spread": moved.first_p(2), "shape": moved.p}
    if with_bins:
        answers["gap"] = kolmogorov_p(basis, live)
        of_bins = shares_p(basis.reference, live, float(basis.inflation.max()))
        if of_bins is not None:
            answers["bins"] = of_bins
    for test, p in answers.items():
        told = f'ln(clamp_min(sum(tidegate_feature:test:p{{{of}, test="{test}"}}), {SMALLEST_P}))'
        expected = math.log(max(p, SMALLEST_P))
        found.append(_near(told, expected, fleet, TAIL if test == "bins" else 0.0))
    return found


def _near(expression: str, value: float, fleet: Fleet, tolerance: float = 0.0) -> Expected:
    """Expect a value up to a relative error of 1e-6, but of 1e-9 near 0, or up to a given one."""
    error = max(tolerance, (FAR_OUT if tolerance else EXACT) * max(abs(value), 1e-3))
    return Expected(f"abs({expression} - {value!r}) < bool {error!r}", 1.0, fleet.minute)


@pytest.mark.parametrize(
    ("rows", "dose", "replicas", "inflated", "with_bins"),
    [
        (120, 0.0, 3, False, True),
        (500, 0.0, 1, True, True),
        (120, 0.3, 1, False, False),
        (120, 0.5, 3, False, True),
        (500, 0.1, 3, True, True),
        (2500, 0.05, 3, False, False),
        (2500, 0.3, 1, True, True),
    ],
)
def test_probabilities_and_effects_are_those_of_the_gateway(
    tmp_path: Path, rows: int, dose: float, replicas: int, *, inflated: bool, with_bins: bool
) -> None:
    """For every column, rule and window, over sizes, doses and replicas, within what is stated."""
    rng = np.random.default_rng(rows + replicas)
    fleet = Fleet(varied_profile(inflated=inflated), replicas, with_bins=with_bins, step_minutes=5)
    for share in (0.0, 0.0, dose, dose):
        sizes = 1 + rng.poisson(rows / replicas, replicas)
        fleet.take(*(varied_rows(rng, int(size), share) for size in sizes))

    expected = expected_values(fleet, with_bins=with_bins)
    prometheus.check(
        tmp_path / "test.yml", fleet.series, expected, step_minutes=5, evaluation_minutes=20
    )
