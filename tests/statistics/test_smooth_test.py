"""The smooth test: scores, additivity, directions, tails, and columns with nothing in them."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats

from server.statistics.distance import Counts
from server.statistics.smooth_test import (
    COMPONENTS,
    MAX_COMPONENTS,
    MIN_SHARE,
    score_sums,
    shift,
    shift_of_sums,
    smooth_basis,
    without_skewness,
)
from tests.support.drifting import Values, bimodal, count, inner_edges

FLAT: Counts = np.full(20, 250)
EDGES: Values = stats.norm.ppf(np.arange(1, 20) / 20)


def columns(count: int) -> st.SearchStrategy[tuple[Counts, ...]]:
    """Return counts of a reference, and of live rows, over the same bins."""
    return st.integers(1, 24).flatmap(
        lambda bins: st.tuples(
            *[npst.arrays(np.int64, bins, elements=st.integers(0, 900)) for _ in range(count)]
        )
    )


@given(columns(1))
def test_scores_are_orthonormal_under_the_reference(column: tuple[Counts, ...]) -> None:
    """Mean 0, variance 1 and no correlation, as many as the bins allow."""
    (reference,) = column
    basis = smooth_basis(reference)
    share = reference / max(1, reference.sum())
    size = basis.scores.shape[1]

    assert size <= max(0, min(MAX_COMPONENTS, np.count_nonzero(reference) - 1))
    assert share @ basis.scores == pytest.approx(np.zeros(size), abs=1e-7)
    products = basis.scores.T @ (share[:, np.newaxis] * basis.scores)
    assert products == pytest.approx(np.eye(size), abs=1e-6)


def test_location_scores_of_equal_bins_are_normal_scores() -> None:
    """Means of a standard normal variable between its quantiles: van der Waerden's scores."""
    ends = stats.norm.pdf(stats.norm.ppf(np.arange(21) / 20))
    means = 20.0 * (ends[:-1] - ends[1:])

    assert smooth_basis(FLAT).scores[:, 0] == pytest.approx(means / np.std(means))


def test_scores_of_a_normal_column_are_hermites() -> None:
    """With many bins: how far it has moved is then told in standard deviations."""
    edges = np.linspace(-2.5, 2.5, 51)
    share = np.diff(stats.norm.cdf(np.concatenate([[-np.inf], edges, [np.inf]])))
    middles = (edges[1:] + edges[:-1]) / 2.0
    scores = smooth_basis(np.round(1e9 * share).astype(np.int64)).scores[1:-1]

    assert scores[:, 0] == pytest.approx(middles, abs=0.05)
    assert scores[:, 1] == pytest.approx((middles**2 - 1.0) / math.sqrt(2.0), abs=0.15)


@given(columns(4), st.permutations([1, 2, 3]))
def test_sub_windows_add_up(column: tuple[Counts, ...], order: list[int]) -> None:
    """In any order: the sums of parts judge as their rows together do."""
    basis = smooth_basis(column[0])
    parts = [column[index] for index in order]
    together = column[1] + column[2] + column[3]
    sums = sum((score_sums(basis, part) for part in parts), np.zeros(basis.scores.shape[1]))

    apart = shift_of_sums(basis, sums, int(together.sum()))
    whole = shift(basis, together)
    assert apart.z == pytest.approx(whole.z, rel=1e-9, abs=1e-7)
    assert apart.statistic == pytest.approx(whole.statistic, rel=1e-6, abs=1e-6)


@given(columns(2))
def test_every_answer_is_a_number(column: tuple[Counts, ...]) -> None:
    """Empty sides, constant columns, one row and empty bins included."""
    found = shift(smooth_basis(column[0]), column[1])

    assert np.isfinite(found.z).all()
    assert np.isfinite([found.statistic, found.effect]).all()
    assert 0.0 <= found.p <= 1.0
    assert all(0.0 <= found.first_p(components) <= 1.0 for components in range(6))
    assert found.first_p(4) == found.p
    assert isinstance(found.words, str)


@pytest.mark.parametrize("reference", [[], [0, 0, 0], [7], [0, 90, 0]])
def test_without_a_reference_that_varies_nothing_has_moved(reference: list[int]) -> None:
    """No rows, no bins, or one value: no components and p = 1."""
    column = np.array(reference, np.int64)
    found = shift(smooth_basis(column), np.ones_like(column))

    assert (found.df, found.p, found.first_p(1), found.effect, found.words) == (
        0,
        1.0,
        1.0,
        0.0,
        "",
    )


@pytest.mark.parametrize(("bins", "components"), [(2, 1), (3, 2), (4, 3), (5, 4), (6, 4)])
def test_few_bins_have_few_components(bins: int, components: int) -> None:
    """One less than bins, at most four."""
    assert shift(smooth_basis(np.full(bins, 100)), np.full(bins, 10)).df == components


def test_a_bin_with_next_to_nothing_adds_no_component() -> None:
    """A polynomial through it would be huge there, and decide alone."""
    basis = smooth_basis(np.array([50_000, 50_000, 1]))

    assert basis.scores.shape[1] == 1
    assert np.abs(basis.scores).max() < 4.0


@given(columns(1))
@example((np.array([55546, 1060, 41269, 962056, 1]),))
def test_no_bin_scores_more_than_one_of_the_least_share(column: tuple[Counts, ...]) -> None:
    """Thinner ones score between their neighbours, whatever the polynomials do there."""
    scores = smooth_basis(column[0]).scores
    assert np.abs(scores).max(initial=0.0) <= 1.0001 / math.sqrt(MIN_SHARE)
    wide = np.flatnonzero(column[0] >= MIN_SHARE * column[0].sum())
    for place in range(len(scores)) if scores.size else ():
        nearest = [wide[wide <= place][-1:], wide[wide >= place][:1]]
        around = scores[np.concatenate(nearest)]
        assert np.all(scores[place] >= around.min(axis=0) - 1e-6)
        assert np.all(scores[place] <= around.max(axis=0) + 1e-6)


@pytest.mark.parametrize(
    ("live", "words"),
    [
        (stats.norm(0.3, 1.0), "location up"),
        (stats.norm(-0.3, 1.0), "location down"),
        (stats.norm(0.0, 1.4), "spread wider"),
        (stats.norm(0.0, 0.7), "spread narrower"),
        (stats.skewnorm(4.0, -1.276, 1.633), "skew to the right"),
        (stats.skewnorm(-4.0, 1.276, 1.633), "skew to the left"),
        (stats.t(2.2, 0.0, 0.62), "tails heavier"),
    ],
)
def test_changes_are_named(live: stats.rv_continuous, words: str) -> None:
    """The strongest component first, in the way it went."""
    bounds = np.concatenate([[0.0], live.cdf(EDGES), [1.0]])
    found = shift(smooth_basis(FLAT * 100), np.rint(np.diff(bounds) * 5000).astype(np.int64))

    assert words in found.words
    assert len(found.words.split(", ")) <= len(COMPONENTS)


def test_a_change_of_shape_that_keeps_mean_and_deviation_is_seen() -> None:
    """Two peaks for one: what tests of the mean miss altogether."""
    live = count(EDGES, bimodal(np.random.default_rng(3), 1000))

    assert shift(smooth_basis(FLAT), live).p < 1e-6


def test_effect_does_not_grow_with_rows_as_significance_does() -> None:
    """Ten times the rows of the same shares."""
    live = np.arange(10, 30)
    small, large = (shift(smooth_basis(FLAT * 40), live * factor) for factor in (1, 10))

    assert large.effect == pytest.approx(small.effect)
    assert large.statistic > 5.0 * small.statistic
    assert np.abs(small.z) * np.sqrt(1 / small.rows + 1 / 200_000) == pytest.approx(
        np.abs(small.means)
    )


def test_rows_that_repeat_count_for_as_few_as_they_are() -> None:
    """Every row four times in a row: a factor of four; independent rows: about one."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((200, 125))
    alike = np.repeat(rows, 4, axis=1)
    edges = inner_edges(rows.ravel())
    for blocks, factor in ((count(edges, rows), 1.0), (count(edges, alike), 4.0)):
        found = smooth_basis(blocks.sum(axis=0), blocks).inflation
        assert found == pytest.approx(np.full(4, factor), rel=0.3)
        assert (found >= 1.0).all()


def test_few_blocks_say_nothing_of_repetition() -> None:
    """Nor do empty ones."""
    blocks = np.zeros((90, 20), np.int64)
    blocks[:10] = np.eye(10, 20, dtype=np.int64) * 50

    assert smooth_basis(FLAT, blocks).inflation.tolist() == [1.0] * 4


@pytest.mark.parametrize("skewness", [-0.7, -0.3, 0.0, 1e-9, 0.1, 0.5, 0.7])
def test_skewed_means_become_normal(skewness: float) -> None:
    """Quantiles of a Pearson type III variable become those of a normal one, far out too."""
    normal = np.linspace(-2.0, 5.0, 33) * (1.0 if skewness >= 0.0 else -1.0)
    skewed = stats.pearson3.ppf(stats.norm.cdf(normal), skewness)
    if skewness < 0.0:  # Quantiles near 1 are exact only when seen from the other side.
        skewed = -stats.pearson3.isf(stats.norm.cdf(normal), -skewness)
    elif skewness > 1e-3:
        skewed = stats.pearson3.isf(stats.norm.sf(normal), skewness)

    found = without_skewness(skewed, np.full(33, skewness))
    assert found == pytest.approx(normal, abs=0.08)


@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-6])
def test_a_thin_bin_alarms_no_more_often_than_it_should(alpha: float) -> None:
    """Bin of 1 %, 200 rows: against the exact binomial; a normal mean is wrong a hundredfold."""
    basis = smooth_basis(np.array([9_900_000, 100_000]))
    found = next(
        thin for thin in range(200) if shift(basis, np.array([200 - thin, thin])).p < alpha
    )

    exact = stats.binom.sf(found - 1, 200, 0.01)
    assert exact < 2.0 * alpha
    normal = stats.binom.sf(2.0 - 1.0 + np.sqrt(1.98) * stats.norm.isf(alpha / 2.0), 200, 0.01)
    assert alpha > 1e-3 or normal > 20.0 * alpha
