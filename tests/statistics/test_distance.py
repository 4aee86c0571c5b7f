"""Distances: known figures of other packages where conventions agree, and where they must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats
from scipy.spatial import distance as scipy_distance

from server.statistics.distance import (
    Counts,
    hellinger,
    jensen_shannon,
    kolmogorov,
    psi,
    psi_floor,
    representatives,
    wasserstein,
)
from tests.support.drifting import Values, count

RNG = np.random.default_rng(12345)
REFERENCE: Values = RNG.normal(0.0, 1.0, 5000)
LIVE: Values = RNG.normal(0.3, 1.2, 1000)
DECILES: Values = np.quantile(REFERENCE, np.arange(1, 10) / 10)

sides = st.integers(1, 30).flatmap(
    lambda bins: st.tuples(
        *[npst.arrays(np.int64, bins, elements=st.integers(0, 5000)) for _ in range(2)]
    )
)


def over(edges: Values) -> tuple[Counts, Counts]:
    """Return the golden columns over the bins between edges."""
    return count(edges, REFERENCE), count(edges, LIVE)


def one_bin_per_value() -> tuple[Counts, Counts, Values]:
    """Return the golden columns counted without loss, and the values."""
    distinct = np.unique(np.concatenate([REFERENCE, LIVE]))
    reference, live = over((distinct[:-1] + distinct[1:]) / 2.0)
    return reference, live, distinct


def test_psi_over_reference_deciles_is_the_known_figure() -> None:
    """Half a row added to both sides, shares of the enlarged totals."""
    assert psi(*over(DECILES)) == pytest.approx(0.1306614139, abs=1e-9)


def test_jensen_shannon_squared_is_the_divergence_that_tfdv_shows() -> None:
    """Base 2, over the same deciles."""
    assert jensen_shannon(*over(DECILES)) ** 2 == pytest.approx(0.0234594145, abs=1e-9)


def test_jensen_shannon_and_hellinger_agree_with_nannyml() -> None:
    """Over Doane's bins of the reference, and one bin for what lies outside of them."""
    doane = np.histogram_bin_edges(REFERENCE, "doane")
    reference = np.append(np.histogram(REFERENCE, doane)[0], 0)
    inside = np.histogram(LIVE, doane)[0]
    live = np.append(inside, len(LIVE) - inside.sum())

    assert jensen_shannon(reference, live) == pytest.approx(0.170548293707925, abs=1e-12)
    assert hellinger(reference, live) == pytest.approx(0.14586382144865953, abs=1e-12)


def test_with_a_bin_per_value_kolmogorov_and_wasserstein_are_exact() -> None:
    """Those of the rows themselves, as NannyML shows them, and over the deviation as Evidently."""
    reference, live, distinct = one_bin_per_value()
    moved = wasserstein(reference, live, distinct)

    assert kolmogorov(reference, live) == pytest.approx(0.1528, abs=1e-12)
    assert moved == pytest.approx(0.324732280291199, abs=1e-9)
    assert moved / np.std(REFERENCE) == pytest.approx(0.3205765224177489, abs=1e-9)


def test_the_distance_over_bins_is_never_larger_than_that_of_the_rows() -> None:
    """Between edges the cumulated shares can differ more than at them."""
    exact = stats.ks_2samp(REFERENCE, LIVE).statistic

    assert 0.9 * exact < kolmogorov(*over(DECILES)) <= exact


@given(sides)
def test_distances_agree_with_scipy(both: tuple[Counts, Counts]) -> None:
    """Wherever there are rows on both sides."""
    reference, live = both
    places = np.arange(len(reference), dtype=np.float64)
    if reference.sum() == 0 or live.sum() == 0:
        assert psi(reference, live) == jensen_shannon(reference, live) == 0.0
        assert hellinger(reference, live) == kolmogorov(reference, live) == 0.0
        assert wasserstein(reference, live, places) == 0.0
        return
    p, q = reference / reference.sum(), live / live.sum()
    moved = stats.wasserstein_distance(places, places, reference, live)

    known = np.nan_to_num(scipy_distance.jensenshannon(p, q, base=2))
    assert jensen_shannon(reference, live) == pytest.approx(known, abs=1e-7)
    assert wasserstein(reference, live, places) == pytest.approx(moved, abs=1e-9)


@given(sides)
def test_distances_are_finite_symmetric_and_bounded(both: tuple[Counts, Counts]) -> None:
    """Also for empty sides, empty bins, one row and one bin."""
    reference, live = both
    for measure in (psi, jensen_shannon, hellinger, kolmogorov):
        value = measure(reference, live)
        assert 0.0 <= value < (100.0 if measure is psi else 1.0 + 1e-12)
        assert value == pytest.approx(measure(live, reference), abs=1e-12)
        assert measure(reference, reference) == pytest.approx(0.0, abs=1e-12)


def test_an_empty_bin_does_not_make_psi_explode() -> None:
    """Without smoothing it is infinite, with 2e-308 for zero it is 700 times the other share."""
    reference, live = np.array([500, 500, 0]), np.array([450, 450, 100])

    assert psi(reference, live) < 1.0


def test_one_outlier_changes_psi_over_quantile_bins_by_little() -> None:
    """Equal-width bins over both sides fall from 0.893 to 0.0006 by it."""
    moved = RNG.normal(1.0, 1.0, 1000)
    with_outlier = np.append(moved[1:], 1e4)
    before, after = (
        psi(count(DECILES, REFERENCE), count(DECILES, x)) for x in (moved, with_outlier)
    )

    assert before > 0.8
    assert after == pytest.approx(before, rel=0.01)


def test_the_noise_floor_is_what_psi_is_without_drift() -> None:
    """(bins - 1)(1/m + 1/n): 0.09 and a little for 10 bins and windows of 100 rows."""
    reference = count(DECILES, REFERENCE)
    shares = reference / reference.sum()
    windows = np.random.default_rng(1).multinomial(100, shares, 400)
    mean = np.mean([psi(reference, live) for live in windows])

    assert psi_floor(10, 5000, 100) == pytest.approx(9 * (1 / 100 + 1 / 5000))
    assert mean == pytest.approx(9 / 100, rel=0.15)
    assert psi_floor(1, 0, 0) == 0.0


def test_representatives_are_the_middles_of_bins() -> None:
    """Ends that are unknown or inside of the edges give way to the edges."""
    edges = np.array([1.0, 3.0])

    assert representatives(edges, 0.0, 4.0).tolist() == [0.5, 2.0, 3.5]
    assert representatives(edges, -np.inf, np.nan).tolist() == [1.0, 2.0, 3.0]
    assert representatives(edges, 2.0, 2.0).tolist() == [1.0, 2.0, 3.0]
    assert representatives(np.array([]), 4.0, 6.0).tolist() == [5.0]
    assert representatives(np.array([]), np.nan, np.inf).tolist() == [0.0]
