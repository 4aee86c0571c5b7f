"""Making profiles: exact counts, the same from any chunks, and an answer for any column."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring import sampling
from server.monitoring.columns import Kind
from server.monitoring.profile import CategoryProfile, NumberProfile
from server.monitoring.profile_reading import read_profile
from server.monitoring.profiling import MIN_WHOLE_ROWS
from server.statistics.categories import count_categories
from server.statistics.histogram import count_column
from tests.support.reference_rows import built, layout_for, text

RANDOM = np.random.default_rng(11)
ROWS = 4000
OUTPUTS = {"y": RANDOM.standard_normal(ROWS).astype(np.float32)}


def column_of(value: Any, *, is_ordered: bool = True, chunk: int = 4096) -> Any:
    """Return the profile of one input column."""
    array = np.asarray(value)
    inputs, outputs = {"x": array}, {"y": np.zeros(len(array), np.float32)}
    layout = layout_for(inputs, outputs)
    profile, _ = built(layout, inputs, outputs, is_ordered=is_ordered, chunk=chunk)
    assert read_profile(profile.to_json()).hash == profile.hash
    return profile.column("x")


def test_counts_are_those_of_the_final_bins() -> None:
    """As if all rows had been counted with what the profile says, range included."""
    value = RANDOM.lognormal(0, 2, ROWS).astype(np.float32)
    value[:50], value[50:60] = np.nan, np.inf
    column = column_of(value)

    assert column.counts.to_array().tolist() == count_column(column.bins, value).to_array().tolist()
    finite = value[np.isfinite(value)]
    assert (column.bins.low, column.bins.high) == (finite.min(), finite.max())
    assert column.mean == pytest.approx(finite.astype(np.float64).mean(), rel=1e-5)
    assert column.sd == pytest.approx(finite.astype(np.float64).std(), rel=1e-5)
    assert (column.minimum, column.maximum) == pytest.approx((finite.min(), finite.max()))
    assert (column.counts.missing, column.counts.positive_infinities) == (50, 10)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 700))
def test_a_profile_does_not_depend_on_chunks(chunk: int) -> None:
    """Neither does its hash."""
    inputs = {
        "x": np.stack([np.arange(300.0), np.sin(np.arange(300.0))], 1),
        "word": text([["a", "b", None][place % 3] for place in range(300)]),
    }
    outputs = {"y": np.arange(300, dtype=np.float32)}
    layout = layout_for(inputs, outputs)

    assert (
        built(layout, inputs, outputs, chunk=chunk)[0].hash
        == built(layout, inputs, outputs, chunk=300)[0].hash
    )


def test_a_sample_does_not_blur_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges come from some rows; what is counted, and the range, from all."""
    monkeypatch.setattr(sampling, "SAMPLE_ROWS", 5000)
    far = np.arange(101.0, 1001.0, 60.0)
    value = np.concatenate([RANDOM.standard_normal(30_000), far, -far])
    column = column_of(value)

    assert column.counts.rows == len(value)
    assert (column.counts.below, column.counts.above) == (0, 0)
    assert column.counts.to_array().tolist() == count_column(column.bins, value).to_array().tolist()
    assert (column.bins.low, column.bins.high) == (-far[-1], far[-1])
    assert column.counts.bins.max() < 0.07 * 30_000
    assert column.counts.bins.min() > 0.005 * 30_000


def test_words_are_counted_by_the_categories_of_all_rows() -> None:
    """Those that occur once are counted, because the next new one is as likely as they are."""
    words = ["a"] * 600 + ["b"] * 399 + ["c", "c", "d", "e", "", None]
    column = column_of(text(words))

    assert isinstance(column, CategoryProfile)
    assert column.categories.kept == ("a", "b")
    assert column.categories.rare == {"c", "d", "e", ""}
    expected = count_categories(column.categories, words)
    assert column.counts.to_array().tolist() == expected.to_array().tolist()
    assert column.seen_once == 3
    assert column.counts.missing == 1


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.full(500, 7.5),
        np.full(500, np.nan),
        np.full(500, np.inf),
        np.array([np.inf, -np.inf, np.nan] * 200),
        np.array([1e308, -1e308] * 100),
        np.array([5e-324, 0.0] * 100),
        np.full(300, 2**63 - 1, np.int64),
        np.array([True, False] * 100),
        text([]),
        text([None] * 100),
        text(["x" * 10_000_000]),
        text([f"id{row}" for row in range(3000)]),
        np.zeros((40, 3, 5, 7), np.uint8),
        np.full((40, 100), np.nan, np.float16),
    ],
    ids=[
        "no rows", "one row", "constant", "missing", "infinite", "never finite", "huge", "tiny",
        "large integers", "booleans", "no words", "no text", "10 MB", "all different", "image",
        "missing embedding",
    ],
)  # fmt: skip
def test_any_column_has_a_profile(value: Any) -> None:
    """That can be written, read and compared with; no NaN, no warning, no exception."""
    inputs, outputs = {"x": value}, {"y": np.zeros(len(value), np.float32)}
    profile, differences = built(layout_for(inputs, outputs), inputs, outputs)

    assert differences == []
    back = read_profile(profile.to_json())
    assert back.hash == profile.hash
    for one in back.columns:
        assert one.counts.rows == len(value)
        if isinstance(one, NumberProfile):
            assert one.basis().inflation.tolist() == list(one.inflation)


def test_fractions_that_never_came_make_a_number_whole() -> None:
    """A column of floats that holds integers; some rows are needed to say so, and only inputs."""
    whole = RANDOM.integers(0, 90, ROWS).astype(np.float32)

    assert column_of(whole).column.kind is Kind.INTEGER
    assert column_of(np.append(whole, np.nan)).column.kind is Kind.INTEGER
    assert column_of(np.append(whole, np.float32(0.5))).column.kind is Kind.NUMBER
    assert column_of(whole[: MIN_WHOLE_ROWS - 1]).column.kind is Kind.NUMBER
    inputs, outputs = {"x": whole}, {"y": whole}
    profile, _ = built(layout_for(inputs, outputs), inputs, outputs)
    assert profile.column("y").column.kind is Kind.NUMBER


def test_rows_that_resemble_their_neighbours_have_an_inflation() -> None:
    """By blocks; unless their order means nothing, or they do not."""
    steps = RANDOM.standard_normal(20_000)
    walk = np.zeros(20_000)
    for row in range(1, 20_000):
        walk[row] = 0.8 * walk[row - 1] + steps[row]

    alike = column_of(walk)
    assert alike.inflation[0] > 4
    assert column_of(walk, is_ordered=False).inflation == (1.0,) * 4
    assert max(column_of(steps).inflation) < 1.5
    codes = text([f"c{value}" for value in (walk > 0).astype(int)])
    assert column_of(codes).inflation > 3
    assert column_of(codes, is_ordered=False).inflation == 1.0


def test_missing_values_that_come_together_have_an_inflation_of_their_own() -> None:
    """A pipeline that fails for an hour is no surprise where it does so each week."""
    value = RANDOM.standard_normal(ROWS)
    value[(np.arange(ROWS) // 200) % 5 == 0] = np.nan

    assert column_of(value).missing_inflation > 5
    assert column_of(text([None if np.isnan(one) else "a" for one in value])).missing_inflation > 5
    assert column_of(RANDOM.permutation(value)).missing_inflation < 2


def test_probabilities_keep_bins_of_equal_width() -> None:
    """And a range from 0 to 1, whatever came."""
    share = RANDOM.beta(1, 9, ROWS).astype(np.float32)
    outputs = {"p": np.stack([1 - share, share], 1)}
    inputs = {"x": np.zeros(ROWS, np.float32)}
    profile, _ = built(layout_for(inputs, outputs, p=Kind.PROBABILITY), inputs, outputs)
    score = profile.column("p.score")

    assert isinstance(score, NumberProfile)
    assert score.bins.count == 50
    assert (score.bins.low, score.bins.high) == (0.0, 1.0)
    assert score.minimum == pytest.approx(share.min())


def test_importance_is_in_the_profile() -> None:
    """Of inputs that go with the answer; outputs have none."""
    inputs = {"x": np.stack([OUTPUTS["y"] * 2, RANDOM.standard_normal(ROWS)], 1).astype("f")}
    profile, _ = built(layout_for(inputs, OUTPUTS), inputs, OUTPUTS)
    first, second, answer = profile.columns

    assert first.importance == 1.0
    assert second.importance is not None
    assert second.importance < 0.1
    assert answer.importance is None


def test_halves_that_differ_are_told_with_the_way_they_went() -> None:
    """Most certain first; a reference that drifts itself is no good measure."""
    late = np.arange(ROWS) >= ROWS // 2
    inputs = {
        "x": np.stack([RANDOM.standard_normal(ROWS) + 0.5 * late, RANDOM.standard_normal(ROWS)], 1),
        "word": text(
            [["a", "b"][int(one)] for one in RANDOM.uniform(0, 1, ROWS) < 0.3 + 0.3 * late]
        ),
        "gap": np.where(late & (RANDOM.uniform(0, 1, ROWS) < 0.3), np.nan, 1.0),
    }
    layout = layout_for(inputs, OUTPUTS)
    found = built(layout, inputs, OUTPUTS)[1]

    assert {one.column for one in found} == {"x[0]", "word", "gap"}
    words = {one.column: one.words for one in found}
    assert "location up" in words["x[0]"]
    assert words["gap"] == "more often missing"
    assert found[0].effect > 0.1
    assert built(layout, inputs, OUTPUTS, is_ordered=False)[1] == []


@pytest.mark.parametrize("turned", [False, True])
def test_a_half_that_is_constant_is_told(turned: bool) -> None:
    """A sensor that froze, or one that had not begun."""
    value = np.append(RANDOM.standard_normal(ROWS // 2), np.zeros(ROWS // 2))
    inputs = {"x": value[::-1] if turned else value}
    (found,) = built(layout_for(inputs, OUTPUTS), inputs, OUTPUTS)[1]

    assert found.column == "x"
    assert (found.words == "no longer constant") == turned


def test_halves_of_steady_rows_agree() -> None:
    """In 20 references of 40 columns of noise, there is hardly a false alarm."""
    alarms = 0
    for seed in range(20):
        inputs = {"x": np.random.default_rng(seed).standard_normal((1200, 40)).astype("f")}
        outputs = {"y": np.zeros(1200, np.float32)}
        alarms += bool(built(layout_for(inputs, outputs), inputs, outputs)[1])

    assert alarms <= 2
