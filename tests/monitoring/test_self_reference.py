"""References learned from live rows: when they are whole, and what they know of themselves."""

from typing import Any

import numpy as np
import pytest

from server.monitoring.columns import Kind
from server.monitoring.profile import CategoryProfile
from server.monitoring.profile_reading import read_profile
from server.monitoring.self_reference import SelfReference
from tests.support.reference_rows import built, layout_for, signature_of, text

RANDOM = np.random.default_rng(5)
ROWS = 2000


def rows(count: int = ROWS) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return inputs and outputs of a classifier."""
    share = RANDOM.uniform(0, 1, count).astype(np.float32)
    inputs = {
        "x": RANDOM.standard_normal((count, 2)).astype(np.float32),
        "sex": text([["f", "m"][place] for place in RANDOM.integers(0, 2, count)]),
    }
    return inputs, {"p": np.stack([1 - share, share], axis=1)}


def learned(
    inputs: dict[str, Any], outputs: dict[str, Any], sizes: list[int], max_rows: int = 5000
) -> SelfReference:
    """Feed rows in batches of these sizes, and the rest at once."""
    reference = SelfReference(signature_of(inputs, outputs), {}, max_rows)
    start = 0
    for size in [*sizes, ROWS]:
        part = slice(start, start + size)
        reference.add(
            {name: array[part] for name, array in inputs.items()},
            {name: array[part] for name, array in outputs.items()},
        )
        start += size
    return reference


@pytest.mark.parametrize("sizes", [[], [1] * 60, [49, 1, 300, 7]])
def test_it_is_the_profile_that_a_file_of_the_rows_would_have(sizes: list[int]) -> None:
    """But for where it comes from; however the rows came."""
    inputs, outputs = rows()
    profile, differences = learned(inputs, outputs, sizes).build("m", "1", "d")
    layout = layout_for(inputs, outputs, p=Kind.PROBABILITY)
    from_file, _ = built(layout, inputs, outputs)

    assert differences == []
    assert profile.is_self_reference
    assert (profile.model, profile.version, profile.digest) == ("m", "1", "d")
    assert profile.created_from.rows == ROWS
    assert [one.to_json() for one in profile.columns] == [
        one.to_json() for one in from_file.columns
    ]
    assert read_profile(profile.to_json()).hash == profile.hash


def test_it_is_full_with_the_first_rows() -> None:
    """Later ones are ignored, those of the batch that fills it too."""
    inputs, outputs = rows()
    reference = learned(inputs, outputs, [150, 150], max_rows=200)

    assert reference.is_full
    assert reference.rows == 200
    profile, _ = reference.build("m", "1", "")
    expected, _ = learned(
        {name: array[:200] for name, array in inputs.items()},
        {name: array[:200] for name, array in outputs.items()},
        [],
    ).build("m", "1", "")
    assert profile.hash == expected.hash


def test_rows_are_copied() -> None:
    """What comes are views of messages, whose memory is used again."""
    inputs, outputs = rows()
    reference = learned(inputs, outputs, [100])
    expected = learned(inputs, outputs, [100]).build("m", "1", "")[0].hash
    for array in (*inputs.values(), *outputs.values()):
        array[:] = array[:1]

    assert reference.build("m", "1", "")[0].hash == expected


def test_rows_without_inputs_are_not_learned_from() -> None:
    """They are too large to come; a reference of half a model would not fit the other half."""
    inputs, outputs = rows()
    reference = SelfReference(signature_of(inputs, outputs), {})
    reference.add({}, outputs)
    reference.add({"x": inputs["x"]}, outputs)
    reference.add(inputs, {})

    assert reference.rows == 0


def test_few_rows_make_a_profile_too() -> None:
    """Of one row, or of none."""
    inputs, outputs = rows()
    for count in (0, 1, 10):
        first, second = (
            {name: array[:count] for name, array in side.items()} for side in (inputs, outputs)
        )
        profile, differences = learned(first, second, []).build("m", "1", "")
        assert profile.created_from.rows == count
        assert differences == []
        assert read_profile(profile.to_json()).hash == profile.hash


def test_a_live_stream_that_drifts_from_the_start_is_told() -> None:
    """Its own halves do not agree."""
    inputs, outputs = rows()
    inputs["x"][ROWS // 2 :, 1] += 1
    differences = learned(inputs, outputs, [100] * 10).build("m", "1", "")[1]

    assert [one.column for one in differences] == ["x[1]"]
    assert "location up" in differences[0].words


def test_rows_that_do_not_fit_are_refused_and_not_kept() -> None:
    """A model may answer in other shapes than it declares; that costs the batch."""
    inputs, outputs = rows()
    reference = SelfReference(signature_of(inputs, outputs), {})
    wrong = [
        (inputs, {"p": outputs["p"][:, :1]}),
        (inputs, {"p": outputs["p"][:-1]}),
        ({**inputs, "sex": inputs["sex"][:3]}, outputs),
    ]
    for count in (0, ROWS):
        assert reference.rows == count
        for given in wrong:
            with pytest.raises(ValueError, match="rows"):
                reference.add(*given)
        reference.add(inputs, outputs)

    profile, _ = reference.build("m", "1", "")
    assert profile.column("x[0]").counts.rows == 2 * ROWS
    assert isinstance(profile.column("sex"), CategoryProfile)


def test_a_row_that_adds_up_to_1_by_chance_does_not_decide() -> None:
    """One row may be anything; some are waited for before an output is taken for probabilities."""
    inputs, _ = rows()
    numbers = RANDOM.uniform(0, 1, (ROWS, 2)).astype(np.float32)
    numbers[0] = [0.25, 0.75]
    profile, _ = learned(inputs, {"p": numbers}, [1, 1]).build("m", "1", "")

    names = [one.column.name for one in profile.columns]
    assert names[-2:] == ["p[0]", "p[1]"]


def test_answers_of_changing_shapes_are_no_probabilities() -> None:
    """An output of any size may come in several; it is watched by its summaries."""
    open_sized = signature_of({"x": np.zeros(1)}, {"y": np.zeros((1, 2))})
    y = open_sized.outputs[0]
    signature = type(open_sized)(open_sized.inputs, (type(y)(y.name, y.datatype, (-1, -1)),))
    reference = SelfReference(signature, {}, 10)
    for size in (2, 3, 2):
        reference.add({"x": np.zeros(2)}, {"y": np.full((2, size), 0.5)})

    names = [one.column.name for one in reference.build("m", "1", "")[0].columns]
    assert "y.mean" in names
