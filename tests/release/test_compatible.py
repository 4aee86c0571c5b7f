"""Which differences of two versions' tensors break a caller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.release.compatible import Difference, difference
from server.tensors import DATATYPES, Signature, TensorSpec

Spec = tuple[str, str, tuple[int, ...]]

X, Y = ("x", "FP32", (-1, 3)), ("y", "FP32", (-1, 2))


def signature(inputs: list[Spec], outputs: list[Spec]) -> Signature:
    """Return a signature of tensors given as name, datatype and shape."""
    sides = [
        tuple(TensorSpec(name, DATATYPES[datatype], shape) for name, datatype, shape in side)
        for side in (inputs, outputs)
    ]
    return Signature(*sides)


@pytest.mark.parametrize(
    ("inputs", "outputs", "problem"),
    [
        ([], [Y], "input 'x' is missing"),
        ([("z", "FP32", (-1, 3))], [Y], "input 'x' is called 'z'"),
        ([("x", "FP64", (-1, 3))], [Y], "input 'x' is FP64, and was FP32"),
        ([("x", "FP32", (-1, 4))], [Y], "input 'x' has shape [-1, 4], and had [-1, 3]"),
        ([("x", "FP32", (-1, 3, 1))], [Y], "input 'x' has shape [-1, 3, 1], and had [-1, 3]"),
        ([("x", "FP32", (1, 3))], [Y], "input 'x' has shape [1, 3], and had [-1, 3]"),
        ([X, ("w", "INT64", (-1,))], [Y], "input 'w' is new, and callers do not send it"),
        ([X], [("p", "FP32", (-1, 2))], "output 'y' is called 'p'"),
        ([X], [("y", "INT64", (-1, 2))], "output 'y' is INT64, and was FP32"),
        ([X], [("y", "FP32", (-1, 3))], "output 'y' has shape [-1, 3], and had [-1, 2]"),
        ([X], [("y", "FP32", (-1,))], "output 'y' has shape [-1], and had [-1, 2]"),
    ],
)
def test_a_difference_that_breaks_callers_is_named(
    inputs: list[Spec], outputs: list[Spec], problem: str
) -> None:
    """Missing, renamed, retyped and reshaped tensors, each with both sides of the difference."""
    found = difference(signature([X], [Y]), signature(inputs, outputs))

    assert found == Difference((problem,), ())


def test_what_is_gone_and_unlike_what_is_new_is_missing() -> None:
    """A renaming is claimed only where there is one tensor that it can be."""
    live = signature([X], [("a", "FP32", (-1,)), ("b", "FP32", (-1,))])
    candidate = signature([X], [("c", "FP32", (-1,)), ("d", "FP32", (-1,))])

    found = difference(live, candidate)
    assert found.problems == ("output 'a' is missing", "output 'b' is missing")
    assert len(found.warnings) == 2


def test_all_differences_are_said_at_once() -> None:
    """Inputs first, in the model's order."""
    live = signature([X, ("w", "INT64", (-1,))], [Y])
    candidate = signature([("x", "FP64", (-1, 3))], [("y", "BYTES", (-1, 2))])

    assert difference(live, candidate).problems == (
        "input 'x' is FP64, and was FP32",
        "input 'w' is missing",
        "output 'y' is BYTES, and was FP32",
    )


def test_an_output_more_is_a_warning() -> None:
    """Who reads outputs by name goes on; V1 answers a single output without its name."""
    more = ("proba", "FP32", (-1, 9))
    single = difference(signature([X], [Y]), signature([X], [Y, more]))
    several = difference(
        signature([X], [Y, ("z", "INT64", (-1,))]),
        signature([X], [Y, ("z", "INT64", (-1,)), more]),
    )

    assert single.problems == several.problems == ()
    assert single.warnings == (
        "output 'proba' is new, so predictions of the V1 protocol become objects",
    )
    assert several.warnings == ("output 'proba' is new",)


def test_sizes_may_open_and_outputs_may_become_fixed() -> None:
    """An input that takes more shapes takes the old ones; an open output is worth a word."""
    fixed = signature([("x", "FP32", (-1, 3))], [("y", "FP32", (-1, 2))])
    opened = signature([("x", "FP32", (-1, -1))], [("y", "FP32", (-1, -1))])

    assert difference(fixed, opened) == Difference(
        (), ("output 'y' has shape [-1, -1], and had [-1, 2]",)
    )
    assert difference(opened, fixed).problems == ("input 'x' has shape [-1, 3], and had [-1, -1]",)


SPECS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["FP32", "INT64", "BYTES"]),
        st.lists(st.integers(-1, 3), max_size=3).map(tuple),
    ),
    max_size=4,
    unique_by=lambda spec: spec[0],
)


@given(SPECS, SPECS)
def test_a_version_is_compatible_with_itself_in_any_order(
    inputs: list[Spec], outputs: list[Spec]
) -> None:
    """Tensors go by name, so their order is nobody's business."""
    assert difference(
        signature(inputs, outputs), signature(inputs[::-1], outputs[::-1])
    ) == Difference((), ())


@given(SPECS, SPECS, SPECS, SPECS)
def test_a_sound_difference_means_that_every_call_goes_on(
    inputs: list[Spec], outputs: list[Spec], new_inputs: list[Spec], new_outputs: list[Spec]
) -> None:
    """Without a problem, the candidate takes exactly the live inputs and gives all live outputs."""
    live, candidate = signature(inputs, outputs), signature(new_inputs, new_outputs)
    if not difference(live, candidate).problems:
        assert live.input_index.keys() == candidate.input_index.keys()
        assert live.output_index.keys() <= candidate.output_index.keys()
        pairs = [(spec, candidate.inputs[candidate.input_index[spec.name]]) for spec in live.inputs]
        assert all(old.datatype == new.datatype for old, new in pairs)
