"""How often a verdict alarms when nothing has changed: 0.5 to 1.5 times what it says.

Every figure counts 3000 windows, so at 1 % chance alone is 18 % of it (one standard deviation).
References differ as windows do: a fixed one would share its error with every window.
"""

from collections.abc import Callable

import numpy as np
import pytest

from server.statistics.combine import categorical_verdict, numeric_verdict
from server.statistics.rates import Rate
from server.statistics.smooth_test import smooth_basis
from tests.support.drifting import Values, autoregressive, count, inner_edges

ALPHA = 0.01
REFERENCES, WINDOWS, ROWS = 30, 100, 500

Draw = Callable[[np.random.Generator, tuple[int, ...]], Values]

CLEAN: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "lognormal": lambda rng, shape: rng.lognormal(0.0, 2.0, shape),
    "few integers": lambda rng, shape: rng.integers(3, 20, shape).astype(np.float64),
    "skewed integers": lambda rng, shape: rng.poisson(2.0, shape).astype(np.float64),
    "many ties": lambda rng, shape: np.floor(rng.exponential(30.0, shape)),
    "scores": lambda rng, shape: np.round(rng.beta(0.5, 2.0, shape), 2),
}


def beyond(reference: Values, live: Values) -> Rate:
    """Return the rate of values above the reference's range."""
    return Rate("above", 0, len(reference), int(np.sum(live > reference.max())), len(live))


@pytest.mark.parametrize("name", CLEAN)
def test_clean_columns_alarm_as_often_as_stated(name: str) -> None:
    """Rows without memory, with a test for the range that has its own share."""
    rng = np.random.default_rng(sum(map(ord, name)))
    alone = together = 0
    for _ in range(REFERENCES):
        reference = CLEAN[name](rng, (5000,))
        edges = inner_edges(reference)
        basis = smooth_basis(count(edges, reference))
        windows = CLEAN[name](rng, (WINDOWS, ROWS))
        for values, live in zip(windows, count(edges, windows), strict=True):
            verdict = numeric_verdict(basis, live, [beyond(reference, values)])
            alone += verdict.parts[0].p < ALPHA
            together += verdict.p < ALPHA

    assert 0.5 <= alone / (REFERENCES * WINDOWS) / ALPHA <= 1.5
    assert 0.4 <= together / (REFERENCES * WINDOWS) / ALPHA <= 1.5


@pytest.mark.parametrize("rho", [0.5, 0.8])
def test_rows_like_their_neighbours_alarm_as_often_as_stated(rho: float) -> None:
    """With the factor from an ordered reference; without it, many times as often."""
    streams = autoregressive(np.random.default_rng(11), rho, 60, 50_000 + 50 * ROWS)
    alarms = naive = 0
    for stream in streams:
        reference, live = stream[:50_000], stream[50_000:].reshape(50, ROWS)
        edges = inner_edges(reference)
        blocks = count(edges, reference.reshape(200, 250))
        total = blocks.sum(axis=0)
        basis, plain = smooth_basis(total, blocks), smooth_basis(total)
        alarms += sum(numeric_verdict(basis, window).p < ALPHA for window in count(edges, live))
        naive += sum(numeric_verdict(plain, window).p < ALPHA for window in count(edges, live)[:5])

    assert 0.5 <= alarms / 3000 / ALPHA <= 1.5
    assert naive / 300 > 5 * ALPHA


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.06, 0.04), (0.3, *[0.7 / 60] * 60)])
def test_clean_categories_alarm_as_often_as_stated(shares: tuple[float, ...]) -> None:
    """Two, uneven ones, and many thin ones, with a test for missing values."""
    rng = np.random.default_rng(len(shares))
    alarms = 0
    for _ in range(REFERENCES):
        reference = rng.multinomial(5000, shares)
        missing = int(rng.binomial(5000, 0.1))
        for live in rng.multinomial(ROWS, shares, WINDOWS):
            rate = Rate("missing", missing, 5000, int(rng.binomial(ROWS, 0.1)), ROWS, True)
            alarms += categorical_verdict(reference, live, [rate]).p < ALPHA

    assert 0.5 <= alarms / (REFERENCES * WINDOWS) / ALPHA <= 1.5
