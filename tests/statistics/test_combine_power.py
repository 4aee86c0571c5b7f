"""How often a verdict sees a change: the design's table at alpha = 1 %, on generated columns.

A `share` of a window's 2000 rows comes from a changed column. The reference has 50,000 rows, the
figure is that of 200 windows: 3 points are one standard deviation.
"""

from collections.abc import Callable

import numpy as np
import pytest

from server.statistics.combine import numeric_verdict
from server.statistics.smooth_test import smooth_basis
from tests.support.drifting import Values, bimodal, count, inner_edges, replaced

Draw = Callable[[np.random.Generator, tuple[int, ...]], Values]


def normal(mean: float, deviation: float) -> Draw:
    return lambda rng, shape: rng.normal(mean, deviation, shape)


@pytest.mark.parametrize(
    ("drifted", "share", "least"),
    [
        pytest.param(normal(0.5, 1.0), 0.2, 0.86, id="shift"),
        pytest.param(normal(0.0, 2.0), 0.1, 0.78, id="spread"),
        pytest.param(lambda rng, shape: bimodal(rng, *shape), 0.2, 0.80, id="bimodal"),
        pytest.param(normal(0.0, 1.0), 0.2, 0.0, id="none"),
    ],
)
def test_changes_are_seen_as_often_as_designed(drifted: Draw, share: float, least: float) -> None:
    """And nothing is seen where nothing is."""
    rng = np.random.default_rng(2024)
    reference = rng.standard_normal(50_000)
    edges = inner_edges(reference)
    basis = smooth_basis(count(edges, reference))
    shape = (200, 2000)
    windows = replaced(rng, rng.standard_normal(shape), drifted(rng, shape), share)
    seen = np.mean([numeric_verdict(basis, live).p < 0.01 for live in count(edges, windows)])

    assert seen >= least
    assert least > 0.0 or seen <= 0.03
