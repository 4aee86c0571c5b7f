"""Columns: which ones a signature has, and that both sides of a comparison are read alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from server.monitoring.columns import (
    MAX_VALUES,
    Column,
    Kind,
    Layout,
    layout_of,
    probability_outputs,
)
from server.monitoring.taking import PROJECTED, SUMMARIES
from server.tensors import DATATYPES, Signature, TensorSpec

PROBABILITIES = {"p": Kind.PROBABILITY}


def spec(name: str, datatype: str, *shape: int) -> TensorSpec:
    return TensorSpec(name, DATATYPES[datatype], shape)


def signature(inputs: Sequence[TensorSpec] = (), outputs: Sequence[TensorSpec] = ()) -> Signature:
    return Signature(tuple(inputs), tuple(outputs))


def names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]


def test_named_features_are_columns_of_their_own() -> None:
    """Names come from model.toml; without them, a value has its place in the tensor."""
    layout = layout_of(
        signature([spec("x", "FP32", -1, 2), spec("z", "FP32", -1, 2)]), {"x": ["age", "bmi"]}
    )

    assert names(layout.inputs.numbers) == ["age", "bmi", "z[0]", "z[1]"]
    assert [column.take for column in layout.columns] == ["value:0", "value:1"] * 2


def test_a_tensor_of_one_value_is_called_by_its_name() -> None:
    """With a dimension of 1 or without."""
    layout = layout_of(signature([spec("age", "INT64", -1, 1), spec("sex", "BYTES", -1)]), {})

    assert names(layout.inputs.numbers) == ["age"]
    assert names(layout.inputs.words) == ["sex"]


@pytest.mark.parametrize(
    ("datatype", "kind"),
    [
        ("FP16", Kind.NUMBER),
        ("FP64", Kind.NUMBER),
        ("INT8", Kind.INTEGER),
        ("UINT64", Kind.INTEGER),
        ("BOOL", Kind.BOOLEAN),
        ("BYTES", Kind.CATEGORY),
    ],
)
def test_the_kind_follows_from_the_datatype(datatype: str, kind: Kind) -> None:
    """Unless something more is known."""
    (column,) = layout_of(signature([spec("x", datatype, -1)]), {}).columns

    assert column.kind is kind


@pytest.mark.parametrize(
    ("datatypes", "dtype"),
    [
        (("FP32", "FP16"), "float32"),
        (("FP32", "INT16"), "float32"),
        (("FP32", "BYTES", "BOOL"), "float32"),
        (("FP32", "INT64"), "float64"),
        (("FP64",), "float64"),
    ],
)
def test_a_block_is_as_wide_as_its_columns_need(datatypes: tuple[str, ...], dtype: str) -> None:
    """Half the width is half the cost of counting, where nothing is lost by it."""
    inputs = [spec(f"x{at}", datatype, -1) for at, datatype in enumerate(datatypes)]

    assert layout_of(signature(inputs), {}).inputs.dtype == dtype


def test_a_whole_number_that_comes_out_is_a_label() -> None:
    """So is text; a fraction is a value of a regression."""
    outputs = [spec("label", "INT64", -1), spec("word", "BYTES", -1, 1), spec("y", "FP32", -1, 1)]
    layout = layout_of(signature(outputs=outputs), {})

    assert names(layout.outputs.words) == ["label", "word"]
    assert names(layout.outputs.numbers) == ["y"]


def test_probabilities_of_two_classes_have_a_score() -> None:
    """Largest, lead, the second class's score, and a label because nothing else is one."""
    layout = layout_of(signature(outputs=[spec("p", "FP32", -1, 2)]), {}, PROBABILITIES)

    assert names(layout.outputs.numbers) == ["p.top1", "p.margin", "p.score"]
    assert names(layout.outputs.words) == ["p.label"]
    assert {column.kind for column in layout.outputs.numbers} == {Kind.PROBABILITY}


def test_probabilities_of_more_classes_beside_a_label() -> None:
    """The model's own label is not counted twice; there is no score of one class."""
    outputs = [spec("label", "BYTES", -1), spec("p", "FP32", -1, 200)]
    layout = layout_of(signature(outputs=outputs), {}, PROBABILITIES)

    assert names(layout.outputs.columns) == ["p.top1", "p.margin", "label"]


def test_numbers_that_are_not_known_as_probabilities_are_numbers() -> None:
    """Logits and embeddings are watched value by value, or as summaries."""
    layout = layout_of(signature(outputs=[spec("p", "FP32", -1, 2)]), {})

    assert names(layout.columns) == ["p[0]", "p[1]"]


def test_large_tensors_are_summaries_and_projections() -> None:
    """Those of open size have no projections, because their values have no places."""
    large = layout_of(signature([spec("image", "UINT8", -1, 3, 224, 224)]), {})
    open_sized = layout_of(signature([spec("image", "UINT8", -1, 3, -1, -1)]), {})

    assert [column.take for column in large.columns] == [*SUMMARIES, *PROJECTED]
    assert [column.take for column in open_sized.columns] == list(SUMMARIES)
    assert names(large.columns)[-1] == "image.projection7"
    assert {column.kind for column in large.columns} == {Kind.NUMBER}


def test_many_named_features_stay_columns() -> None:
    """A wide table is no image."""
    features = [f"f{place}" for place in range(500)]
    tensor = [spec("x", "FP32", -1, 500)]

    assert names(layout_of(signature(tensor), {"x": features}).columns) == features
    assert len(layout_of(signature(tensor), {}).columns) == len(SUMMARIES) + len(PROJECTED)
    assert len(layout_of(signature([spec("x", "FP32", -1, MAX_VALUES)]), {}).columns) == MAX_VALUES


@pytest.mark.parametrize(
    "tensor",
    [
        spec("x", "BYTES", -1, MAX_VALUES + 1),
        spec("x", "BYTES", -1, -1),
        spec("x", "FP32"),
        spec("x", "FP32", -1, 0),
    ],
    ids=["much text", "open text", "no rows", "no values"],
)
def test_what_cannot_be_watched_has_no_columns(tensor: TensorSpec) -> None:
    """It is left out, and the others are watched all the same."""
    layout = layout_of(signature([tensor, spec("y", "FP32", -1)]), {})

    assert names(layout.columns) == ["y"]


def test_names_are_never_taken_twice() -> None:
    """A feature may be called like an output, or like a feature of another input."""
    layout = layout_of(
        signature(
            [spec("a", "FP32", -1, 2), spec("b", "FP32", -1, 2)],
            [spec("age", "INT64", -1), spec("a.age", "FP32", -1)],
        ),
        {"a": ["age", "sex"], "b": ["age", "sex"]},
    )

    found = names(layout.columns)
    assert len(set(found)) == 6
    assert found[:2] == ["age", "sex"]
    assert found[2:4] == ["b.age", "b.sex"]


def test_kinds_that_are_known_win() -> None:
    """Numbers may be codes of categories, and whole numbers a regression."""
    layout = layout_of(
        signature([spec("x", "FP32", -1, 3)], [spec("count", "INT64", -1)]),
        {"x": ["age", "code", "bmi"]},
        {"code": Kind.CATEGORY, "count": Kind.INTEGER, "nobody": Kind.CATEGORY},
    )

    assert names(layout.inputs.numbers) == ["age", "bmi"]
    assert names(layout.inputs.words) == ["code"]
    assert names(layout.outputs.numbers) == ["count"]


def test_text_cannot_be_a_number() -> None:
    """It is said which column."""
    with pytest.raises(ValueError, match="column 'x' is text, and cannot be of kind integer"):
        layout_of(signature([spec("x", "BYTES", -1)]), {}, {"x": Kind.INTEGER})


FULL = signature(
    [spec("x", "FP32", -1, 3), spec("sex", "BYTES", -1, 1), spec("image", "FP16", -1, 10, 10)],
    [spec("p", "FP32", -1, 2), spec("flag", "BOOL", -1), spec("label", "INT64", -1)],
)
FULL_KINDS = {"x[1]": Kind.CATEGORY, "p": Kind.PROBABILITY}


def tensors(rows: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    second = generator.uniform(0, 1, rows).astype(np.float32)
    sexes = np.empty((rows, 1), object)
    sexes[:, 0] = ["female" if value < 0.5 else "male" for value in second]
    return {
        "x": generator.standard_normal((rows, 3)).astype(np.float32),
        "sex": sexes,
        "image": generator.standard_normal((rows, 10, 10)).astype(np.float16),
        "p": np.stack([1 - second, second], axis=1),
        "flag": second < 0.3,
        "label": (second > 0.5).astype(np.int64),
    }


def test_a_layout_can_be_made_again_from_its_kinds() -> None:
    """So that a profile's columns can be held against a signature."""
    layout = layout_of(FULL, {}, FULL_KINDS)

    assert layout_of(FULL, {}, layout.kinds) == layout
    assert Layout.of(layout.columns) == layout


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_blocks_have_a_column_for_each_number_and_for_each_word(rows: int) -> None:
    """In the layout's order, of its type, whatever the number of rows."""
    layout, given = layout_of(FULL, {}, FULL_KINDS), tensors(rows)

    for group in layout.groups:
        blocks = group.blocks(given)
        assert blocks.rows == rows
        assert blocks.numbers.shape == (rows, len(group.numbers))
        assert blocks.numbers.dtype == group.dtype
        assert [len(words) for words in blocks.words] == [rows] * len(group.words)


def test_values_land_in_their_columns() -> None:
    """Numbers by position, words by name."""
    layout, given = layout_of(FULL, {}, FULL_KINDS), tensors(5)
    inputs, outputs = (group.blocks(given) for group in layout.groups)

    assert (inputs.numbers[:, :2] == given["x"][:, [0, 2]]).all()
    assert list(inputs.words[0]) == given["x"][:, 1].tolist()
    assert inputs.words[1] == given["sex"][:, 0].tolist()
    assert (outputs.numbers[:, 2] == given["p"][:, 1]).all()
    assert list(outputs.words[0]) == given["flag"].tolist()


def test_rows_in_parts_are_the_same_as_at_once() -> None:
    """Reference data comes in large chunks and live rows in small batches: each row is itself."""
    layout, given = layout_of(FULL, {}, FULL_KINDS), tensors(6)
    for group in layout.groups:
        whole = group.blocks(given)
        parts = [
            group.blocks({name: array[row : row + 1] for name, array in given.items()})
            for row in range(6)
        ]
        joined = np.concatenate([part.numbers for part in parts])
        # Projections are sums of many numbers of both signs, which round otherwise in other order.
        assert joined == pytest.approx(whole.numbers, rel=1e-6, abs=1e-5)
        for at, words in enumerate(whole.words):
            assert [next(iter(part.words[at])) for part in parts] == list(words)


def test_a_plain_tensor_is_not_copied() -> None:
    """The usual model, one tensor of features, costs nothing to look at."""
    layout, rows = layout_of(signature([spec("x", "FP32", -1, 3)]), {}), np.zeros((4, 3), "f")

    assert np.shares_memory(layout.inputs.blocks({"x": rows}).numbers, rows)


def test_a_group_without_columns_has_no_rows() -> None:
    """A model whose inputs cannot be watched is watched by its outputs."""
    layout = layout_of(signature([spec("x", "BYTES", -1, -1)]), {})

    assert layout.inputs.blocks({}).rows == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sex": None}, "tensor 'sex' is missing"),
        ({"sex": np.array([["a"]], object)}, "different numbers of rows"),
        ({"x": np.zeros((5, 2), np.float32)}, "rows of 2 values have no value 2"),
        ({"x": np.array(1.0)}, "no rows"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change: dict[str, Any], words: str) -> None:
    """Models may answer in other shapes than they declare; what is wrong is said."""
    given = {name: array for name, array in (tensors(5) | change).items() if array is not None}

    with pytest.raises(ValueError, match=words):
        layout_of(FULL, {}, FULL_KINDS).inputs.blocks(given)


def test_numbers_too_large_for_the_block_are_infinite() -> None:
    """They are counted as that, without a warning."""
    layout = layout_of(signature([spec("x", "FP32", -1)]), {})

    assert layout.inputs.blocks({"x": np.array([1e300])}).numbers.tolist() == [[np.inf]]


@pytest.mark.parametrize(
    ("rows", "is_found"),
    [
        ([[0.25, 0.75], [1.0, 0.0]], True),
        ([[0.25, 0.75], [np.nan, 0.5]], True),
        ([[0.25, 0.76], [0.5, 0.5]], True),
        ([[0.25, 0.75], [0.5, 0.6]], False),
        ([[-0.5, 1.5]], False),
        ([[np.nan, np.nan]], False),
        (np.empty((0, 2)), False),
        (np.empty((1, 0)), False),
    ],
    ids=["plain", "one spoilt", "rounded", "another sum", "negative", "all spoilt", "none", "flat"],
)
def test_probabilities_are_found_by_their_sum(rows: Any, is_found: bool) -> None:
    """Rows that are finite decide; none of them, or one that is off, is no probability."""
    outputs = [spec("p", "FP32", -1, 2)]
    found = probability_outputs(signature(outputs=outputs), {"p": np.array(rows, np.float32)})

    assert found == (PROBABILITIES if is_found else {})


def test_only_rows_of_several_fractions_can_be_probabilities() -> None:
    """Not a single value, not whole numbers, and not what has not come."""
    outputs = [spec("a", "FP32", -1, 1), spec("b", "INT64", -1, 2), spec("c", "FP32", -1, 2)]
    given = {"a": np.ones((2, 1)), "b": np.array([[0, 1]])}

    assert probability_outputs(signature(outputs=outputs), given) == {}
