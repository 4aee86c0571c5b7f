"""Chi-square of homogeneity: SciPy's where nothing is thin, and what is done where something is."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from server.statistics.distance import Counts
from server.statistics.homogeneity import category_inflation, homogeneity


def sides(least: int, most: int) -> st.SearchStrategy[tuple[Counts, Counts]]:
    """Return counts of two sides over the same categories."""
    return st.integers(1, 12).flatmap(
        lambda size: st.tuples(
            *[npst.arrays(np.int64, size, elements=st.integers(least, most)) for _ in range(2)]
        )
    )


@given(sides(100, 900))
def test_it_is_the_chi_square_of_a_contingency_table(both: tuple[Counts, Counts]) -> None:
    """Without Yates' correction, where nothing is thin; its p nearly, and not of two categories."""
    found = homogeneity(*both)
    if len(both[0]) < 2:
        assert (found.df, found.p) == (0, 1.0)
        return
    known = stats.chi2_contingency(np.stack(both), correction=False)

    assert found.df == known.dof
    assert found.statistic == pytest.approx(known.statistic, rel=1e-9, abs=1e-9)
    if known.dof > 1 and known.pvalue > 1e-4:
        assert found.p == pytest.approx(known.pvalue, rel=0.15)


def test_windows_with_thin_categories_exceed_a_small_p_about_as_often_as_they_should() -> None:
    """Seven rows expected of the thinnest: chi-square itself is exceeded almost twice as often."""
    rng = np.random.default_rng(21)
    shares = np.array([0.9, 0.065, 0.035])
    reference, live = (
        rng.multinomial(20_000, shares, 400_000),
        rng.multinomial(200, shares, 400_000),
    )
    together = reference + live
    expected = together * (200 / 20_200)
    statistic = np.sum((live - expected) ** 2 / expected * (20_200 / 20_000), axis=1)
    far = np.flatnonzero(stats.chi2.sf(statistic, 2) < 1e-3)
    found = [homogeneity(reference[at], live[at]).p < 1e-3 for at in far]

    assert len(far) > 1.6 * 400
    assert 0.7 * 400 < sum(found) < 1.4 * 400


@given(sides(0, 30))
def test_every_answer_is_a_number(both: tuple[Counts, Counts]) -> None:
    """Empty sides, empty categories and thin ones included."""
    found = homogeneity(*both)

    assert 0.0 <= found.p <= 1.0
    assert 0.0 <= found.statistic < math.inf
    assert 0.0 <= found.effect < math.inf
    assert found.df < len(both[0])


@given(sides(0, 30))
def test_turning_the_order_round_changes_nothing_when_no_sizes_tie(
    both: tuple[Counts, Counts],
) -> None:
    """Categories have no order."""
    reference, live = both
    if len(set((reference + live).tolist())) < len(reference):
        return
    found, turned = homogeneity(reference, live), homogeneity(reference[::-1], live[::-1])

    assert turned.df == found.df
    assert turned.statistic == pytest.approx(found.statistic)


def test_thin_categories_are_judged_together() -> None:
    """Forty of them, each expected once, are one of forty rows."""
    reference = np.array([50_000, 30_000, *[100] * 40])
    live = np.array([500, 300, *[1] * 40])
    found = homogeneity(reference, live)

    assert found.df == 2
    assert found.p > 0.9
    assert homogeneity(reference, np.array([500, 300, 40, *[0] * 39])).p == found.p


def test_what_stays_thin_has_a_question_of_its_own() -> None:
    """One category expected twice, beside two large ones: growing fivefold it is not missed."""
    reference = np.array([40, 9000, 6000])
    same, grown = (homogeneity(reference, np.array([x, 300, 200])) for x in (1, 12))

    assert (same.df, grown.df) == (2, 2)
    assert same.p == 1.0
    assert grown.p < 1e-5


def test_a_rare_flag_is_tested_exactly() -> None:
    """One row of a hundred: two are expected, nine of 200 are too many, by Fisher's test."""
    reference, live = np.array([9900, 100]), np.array([191, 9])
    expected = stats.fisher_exact(np.stack([live, reference]), alternative="less").pvalue
    found = homogeneity(reference, live)

    assert found.df == 1
    assert found.p == pytest.approx(2.0 * expected, rel=1e-6)
    assert found.effect > 0.3


def test_rows_that_come_in_runs_count_for_fewer() -> None:
    """Every row four times in a row makes blocks vary four times as much."""
    rng = np.random.default_rng(8)
    shares = np.array([0.5, 0.3, 0.2])
    independent = rng.multinomial(200, shares, 150)
    runs = 4 * rng.multinomial(50, shares, 150)

    assert category_inflation(independent.sum(axis=0), independent) == pytest.approx(1.0, abs=0.25)
    factor = category_inflation(runs.sum(axis=0), runs)
    assert factor == pytest.approx(4.0, rel=0.25)
    plain, inflated = (homogeneity(runs.sum(axis=0), runs[0], x) for x in (1.0, factor))
    assert inflated.statistic == pytest.approx(plain.statistic / factor)


@pytest.mark.parametrize("blocks", [np.zeros((90, 2), np.int64), np.full((5, 2), 9)])
def test_few_or_empty_blocks_say_nothing(blocks: Counts) -> None:
    """Nor do those of a constant."""
    assert category_inflation(np.array([50, 50]), blocks) == 1.0
    assert category_inflation(np.array([50, 0]), np.full((90, 2), 9)) == 1.0
