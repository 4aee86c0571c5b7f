"""Columns that depend on each other are judged together, each direction once."""

import numpy as np
import pytest

from server.monitoring.counting import CountLayout
from server.monitoring.together import GATHERED_ROWS, LEAST_ROWS, Dependence
from server.statistics.smooth_test import SmoothBasis
from tests.support.references import mixed_profile, normal_blocks, normal_profile, profile_of

PROFILE = normal_profile(4, 5000)


def _dependence(profile: object = PROFILE) -> Dependence:
    layout = CountLayout(profile)  # type: ignore[arg-type]
    bases: list[SmoothBasis | None] = [
        one.basis() if one.column.kind.is_number else None  # type: ignore[union-attr]
        for one in layout.profile.columns
    ]
    return Dependence(layout, bases)


def _learned(copies: bool = False) -> Dependence:
    rng = np.random.default_rng(6)
    together = _dependence()
    while together.is_wanted:
        x = rng.standard_normal((64, 4)).astype(np.float32)
        if copies:
            x[:, 1] = x[:, 0]
        together.add(*normal_blocks(PROFILE, x))
    return together


def test_nothing_is_said_before_enough_rows_were_seen() -> None:
    """Until then p is 1; a record gives a few rows only, however many it has."""
    together = _dependence()
    for _ in range(20):
        together.add(*normal_blocks(PROFILE, np.zeros((1000, 4), np.float32)))

    assert together.is_wanted
    assert not together.is_learned
    assert together.judge(np.full(5, 9.0), 0.01) == (1.0, 0.0)
    assert LEAST_ROWS > 20 * 64


def test_rows_that_come_one_by_one_teach_what_many_at_once_do() -> None:
    """A column costs the same for one row as for some hundred; so rows gather first."""
    rows = np.random.default_rng(8).standard_normal((LEAST_ROWS + GATHERED_ROWS, 4))
    learned = []
    for step in (1, 50, 64):
        together = _dependence()
        for first in range(0, len(rows), step):
            blocks = normal_blocks(PROFILE, rows[first : first + step].astype(np.float32))
            if together.is_wanted:
                together.add(*blocks)
        learned.append(together.judge(np.array([1.0, 2.0, 0.5, -1.0, 1.5]), 0.01))

    assert all(p < 0.9 for p, _ in learned)
    assert learned[1:] == [pytest.approx(learned[0], rel=0.05)] * 2


def test_a_sum_of_columns_is_no_direction_of_its_own() -> None:
    """The output is the sum of four inputs: four directions of five columns."""
    assert _learned().directions == 4


def test_a_copy_counts_once() -> None:
    """Two columns that say the same are one; what they say twice weighs no more."""
    assert _learned(copies=True).directions == 3


def test_clean_components_have_honest_probabilities() -> None:
    """Components that depend as learned have p below 0.1 one time in ten."""
    together, rng = _learned(), np.random.default_rng(7)
    inputs = rng.standard_normal((2000, 4))
    locations = np.column_stack([inputs, inputs.sum(axis=1) / 2.0])

    p = np.array([together.judge(one, 0.01)[0] for one in locations])

    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=0.025)


def test_records_with_one_side_only_teach_nothing() -> None:
    """The dependence is that of values in one row, so both sides are needed."""
    together = _dependence()
    inputs, _ = normal_blocks(PROFILE, np.zeros((64, 4), np.float32))
    for _ in range(200):
        together.add(inputs, None)

    assert together.is_wanted


def test_a_single_number_has_no_company() -> None:
    """With fewer than two numeric columns there is nothing to learn."""
    profile = normal_profile(2, 500)
    (x, *_), layout = profile.columns, profile.layout
    del x
    constant = profile_of(
        layout, {"x": np.zeros((500, 2), np.float32)}, {"y": np.zeros((500, 1), np.float32)}
    )

    assert not _dependence(constant).is_wanted
    assert _dependence(mixed_profile(500)).is_wanted
