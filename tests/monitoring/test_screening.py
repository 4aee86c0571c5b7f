"""Nothing that would matter is left out when all columns are looked at together."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.counting import CountLayout, RowCounter
from server.monitoring.drift import Judge, Limits
from server.monitoring.profile import Profile
from server.monitoring.screening import Screen
from server.statistics.smooth_test import score_sums, shift
from tests.support.references import mixed_profile, mixed_rows, normal_blocks, normal_profile

MIXED = mixed_profile(5000)
NORMAL = normal_profile(4, 5000)
JUDGES = {id(profile): Judge(profile, Limits(), 5) for profile in (MIXED, NORMAL)}


def _screen(profile: Profile, least_p: float) -> Screen:
    judge = JUDGES[id(profile)]
    return Screen(judge.layout, judge.bases, least_p)


def _counted(profile: Profile, rows: int, inputs: Any, outputs: Any) -> Any:
    counter = RowCounter(CountLayout(profile))
    counter.add(rows, inputs, outputs)
    return counter.take().counts


def _mixed_counts(rng: np.random.Generator, rows: int, strangeness: float) -> Any:
    """Return counts of rows of which some values were made strange, in every way there is."""
    inputs, outputs = mixed_rows(rng, rows)
    inputs["amount"] *= np.float32(1.0 + strangeness * rng.random())
    strange = rng.random((rows, 1)) < strangeness * 0.1
    inputs["amount"][strange & (rng.random((rows, 1)) < 0.3)] = rng.choice([np.nan, np.inf, 1e9])
    inputs["visits"][strange] += rng.choice([0.5, 1.0, 30.0])
    inputs["colour"][strange] = rng.choice(np.array(["new", "12", None, "blue"], object))
    inputs["member"][strange] = True
    outputs["label"][strange] = rng.choice([0, 1, 7])
    groups = MIXED.layout.groups
    return _counted(MIXED, rows, groups[0].blocks(inputs), groups[1].blocks(outputs))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 5, 50, 200, 1000, 20_000]),
    st.sampled_from([0.0, 0.02, 0.1, 0.4, 1.0]),
    st.sampled_from([1e-2, 1e-4, 1e-6, 1e-8]),
)
@settings(deadline=None, max_examples=150)
def test_what_is_left_out_has_no_small_p(
    seed: int, rows: int, strangeness: float, least_p: float
) -> None:
    """For any rows, a column that is not passed on has a verdict with a larger p than asked for."""
    counts = _mixed_counts(np.random.default_rng(seed), rows, strangeness)
    mask = _screen(MIXED, least_p).may_matter(counts)

    for place in np.flatnonzero(~mask).tolist():
        verdict = JUDGES[id(MIXED)].verdict(place, counts)
        assert verdict.p >= least_p, (MIXED.columns[place].column.name, verdict)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([3, 40, 200, 3000]),
    st.sampled_from([0.0, 0.05, 0.2, 0.5, 3.0]),
    st.sampled_from([1e-2, 1e-5]),
)
@settings(deadline=None, max_examples=100)
def test_shifts_and_spreads_are_not_left_out(
    seed: int, rows: int, size: float, least_p: float
) -> None:
    """The same for continuous columns that are shifted, spread, or in two halves."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 4)).astype(np.float32)
    x[:, 0] += size
    x[:, 1] *= 1.0 + size
    x[:, 2] += size * np.sign(x[:, 2])
    counts = _counted(NORMAL, rows, *normal_blocks(NORMAL, x))
    mask = _screen(NORMAL, least_p).may_matter(counts)

    for place in np.flatnonzero(~mask).tolist():
        assert JUDGES[id(NORMAL)].verdict(place, counts).p >= least_p


def test_most_of_what_is_clean_is_left_out() -> None:
    """Of clean windows, fewer than one column in twenty is passed on; else nothing is gained."""
    screen, rng = _screen(NORMAL, 1e-5), np.random.default_rng(8)
    passed = 0
    for _ in range(100):
        x = rng.standard_normal((500, 4)).astype(np.float32)
        passed += int(screen.may_matter(_counted(NORMAL, 500, *normal_blocks(NORMAL, x))).sum())

    assert passed < 0.05 * 100 * 5


def test_scores_and_effects_are_those_of_each_column() -> None:
    """Sums, components and effects of the arrays equal those of the smooth test and the verdict."""
    judge, rng = JUDGES[id(MIXED)], np.random.default_rng(9)
    counts = _mixed_counts(rng, 700, 0.4)
    screen = judge.screen
    sums, rows = screen.score_sums(counts)
    normal, effects = screen.normal_scores(counts), screen.effects(counts)

    for at, place in enumerate(screen.number_places):
        basis = judge.bases[place]
        assert basis is not None
        live = judge.layout.number(counts, place).bins
        size = len(basis.inflation)
        assert rows[at] == live.sum()
        assert sums[at, :size].tolist() == pytest.approx(score_sums(basis, live).tolist())
        assert normal[at, :size].tolist() == pytest.approx(shift(basis, live).normal.tolist())
    for place, profile in enumerate(MIXED.columns):
        if not profile.column.kind.is_number:
            expected = judge.verdict(place, counts).parts[0].effect
            assert effects[place] == pytest.approx(expected, rel=0.05)


def test_no_rows_are_nothing() -> None:
    """An empty window passes nothing on, and has no effects and no scores."""
    screen = _screen(MIXED, 1e-2)
    nothing = np.zeros(JUDGES[id(MIXED)].layout.width, np.int64)

    assert not screen.may_matter(nothing).any()
    assert not screen.effects(nothing).any()
    assert not screen.normal_scores(nothing).any()
    assert screen.held_bytes > 0
