"""Importance: what goes with the answer is found, whatever its kind, and noise is not."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from server.monitoring.columns import Kind, layout_of
from server.monitoring.importance import MAX_GROUPS, importances
from server.monitoring.sampling import Sampler
from server.tensors import DATATYPES, Signature, TensorSpec

ROWS = 2000
RANDOM = np.random.default_rng(7)
NOISE = RANDOM.standard_normal(ROWS)


def importance(value: Any, answer: Any) -> float | None:
    """Return the importance of one input column, of numbers or words, for one output column."""
    columns = {"x": np.asarray(value), "y": np.asarray(answer)}
    specs = [
        TensorSpec(name, DATATYPES["BYTES" if array.dtype == object else "FP64"], (-1,))
        for name, array in columns.items()
    ]
    layout = layout_of(Signature((specs[0],), (specs[1],)), {})
    sampler = Sampler(layout, 10_000)
    sampler.choose(len(columns["x"]))
    sampler.add(layout.inputs.blocks(columns), layout.outputs.blocks(columns))
    found = importances(sampler.sample())
    assert list(found) == ["x"]
    return found["x"]


def words(values: Any) -> Any:
    array = np.empty(len(values), object)
    array[:] = [None if value is None else f"c{value}" for value in values]
    return array


def test_of_two_numbers_it_is_the_rank_correlation() -> None:
    """As scipy has it, ties included."""
    value, answer = np.round(NOISE, 1), NOISE + RANDOM.standard_normal(ROWS)

    assert importance(value, answer) == pytest.approx(stats.spearmanr(value, answer).statistic)
    assert importance(-value, answer) == importance(value, answer)


def test_a_bent_relation_and_outliers_do_not_matter() -> None:
    """Ranks see neither."""
    assert importance(NOISE, np.exp(5 * NOISE)) == pytest.approx(1.0)
    assert importance(np.where(NOISE > 2, np.inf, NOISE), NOISE) > 0.99  # type: ignore[operator]


def test_missing_values_are_left_out() -> None:
    """What is known of the others counts."""
    assert importance(np.where(NOISE > 1, np.nan, NOISE), NOISE) == pytest.approx(1.0)


def test_a_category_is_as_important_as_what_it_explains() -> None:
    """Groups that have their own level are found, either way round."""
    groups = RANDOM.integers(0, 4, ROWS)
    answer = groups + 0.1 * NOISE

    assert importance(words(groups), answer) == pytest.approx(1.0, abs=0.05)
    assert importance(answer, words(groups)) == pytest.approx(1.0, abs=0.05)


def test_two_categories_that_say_the_same_go_together() -> None:
    """Under other names too."""
    groups = RANDOM.integers(0, 3, ROWS)

    assert importance(words(groups), words(groups + 10)) == pytest.approx(1.0)


@pytest.mark.parametrize("groups", [2, 10, 50])
def test_noise_is_not_important(groups: int) -> None:
    """However many categories it has: chance is taken away."""
    value, other = RANDOM.integers(0, groups, ROWS), RANDOM.integers(0, groups, ROWS)

    for found in (
        importance(words(value), NOISE),
        importance(words(value), words(other)),
        importance(value.astype(float), NOISE),
    ):
        assert found is not None
        assert found < 0.1


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (np.ones(10), np.arange(10.0)),
        (np.arange(10.0), np.ones(10)),
        (np.full(10, np.nan), np.arange(10.0)),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0])),
        (words(["a"] * 10), np.arange(10.0)),
        (words([None] * 10), np.arange(10.0)),
        (words(range(10)), np.arange(10.0)),
        (words(["a"] * 10), words(range(10))),
        (words(range(5)), words(range(5))),
        (words(range(MAX_GROUPS + 1)), words([1] * MAX_GROUPS + [2])),
        (np.empty(0), np.empty(0)),
    ],
    ids=[
        "constant", "constant answer", "missing", "two rows", "one category", "no category",
        "a category each", "one category, many answers", "all different", "too many", "no rows",
    ],
)  # fmt: skip
def test_where_nothing_can_be_said_nothing_is(value: Any, answer: Any) -> None:
    """No NaN, no warning, no number."""
    assert importance(value, answer) is None


def test_the_best_known_answer_counts() -> None:
    """Of several outputs, the one that goes with the input most."""
    specs = [TensorSpec("p", DATATYPES["FP32"], (-1, 3))]
    layout = layout_of(
        Signature((TensorSpec("x", DATATYPES["FP64"], (-1,)),), tuple(specs)),
        {},
        {"p": Kind.PROBABILITY},
    )
    # The class follows from the value, though how sure the model is does not.
    label = (NOISE > 0).astype(int) + (NOISE > 1)
    probabilities = np.full((ROWS, 3), 0.1)
    probabilities[np.arange(ROWS), label] = 0.8
    sampler = Sampler(layout, 10_000)
    sampler.choose(ROWS)
    sampler.add(layout.inputs.blocks({"x": NOISE}), layout.outputs.blocks({"p": probabilities}))

    found = importances(sampler.sample())["x"]
    assert found is not None
    assert found > 0.8
