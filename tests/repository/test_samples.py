"""Inputs to try a model with: they fit the signature, differ by row, and survive a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.repository import samples
from server.tensors import DATATYPES, Signature, TensorSpec

shapes = st.lists(st.sampled_from([-1, 1, 2, 3]), max_size=4).map(tuple)
specs = st.tuples(st.sampled_from(sorted(DATATYPES)), shapes)
signatures = st.lists(specs, min_size=1, max_size=3).map(
    lambda found: signature_of(*found),
)


def signature_of(*inputs: tuple[str, tuple[int, ...]]) -> Signature:
    """Describe a model by the datatypes and shapes of its inputs: x0, x1 and so on."""
    return Signature(
        tuple(
            TensorSpec(f"x{index}", DATATYPES[datatype], shape)
            for index, (datatype, shape) in enumerate(inputs)
        ),
        (),
    )


@settings(max_examples=25, deadline=None)
@given(signatures, st.integers(1, 9))
def test_made_inputs_fit_the_signature(signature: Signature, rows: int) -> None:
    """Whatever a model takes, each guess has its datatypes, its sizes, and the rows asked for."""
    guesses = list(samples.made_inputs(signature, rows))

    is_open = any(size < 0 for spec in signature.inputs for size in spec.shape[1:])
    assert len(guesses) == (5 if is_open else 1)
    for inputs in guesses:
        for spec, array in zip(signature.inputs, inputs, strict=True):
            assert isinstance(array, np.ndarray)
            assert array.dtype == spec.datatype.numpy
            assert all(
                size == wanted or wanted < 0
                for size, wanted in zip(array.shape, spec.shape, strict=True)
            )
            if spec.has_rows:
                assert len(array) == rows


def test_made_inputs_are_the_same_each_time_and_differ_by_row() -> None:
    """A row that leaks into another is seen, and a check that fails once fails again."""
    signature = signature_of(("FP32", (-1, 3)), ("FP32", (-1, 3)))
    [(first, second)] = samples.made_inputs(signature)
    [(again, _)] = samples.made_inputs(signature)

    assert (first == again).all()
    assert len(np.unique(first)) == first.size
    assert not (first == second).any()


def test_guesses_at_open_dimensions_grow() -> None:
    """Small sizes are tried first, then those of sequences and images."""
    sizes = [x.shape for [x] in samples.made_inputs(signature_of(("FP32", (-1, 3, -1, -1))), 2)]

    assert sizes == [(2, 3, n, n) for n in (1, 4, 16, 64, 224)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 30))
def test_rows_are_repeated_in_order_when_there_are_too_few(given_rows: int, rows: int) -> None:
    """The first rows come first; when they run out, they come again."""
    column = np.arange(given_rows).reshape(-1, 1)
    [got] = samples.first_rows([column], rows)

    assert got[:, 0].tolist() == [row % given_rows for row in range(rows)]


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@pytest.mark.parametrize("shape", [(-1, 2), (2, 3), ()])
def test_what_is_saved_is_what_is_loaded(
    tmp_path: Path, datatype: str, shape: tuple[int, ...]
) -> None:
    """Inputs of every datatype come back with their bits, their datatype and their shape."""
    signature = signature_of((datatype, shape), ("INT64", (-1,)))
    inputs = next(samples.made_inputs(signature))
    if datatype == "BYTES" and shape:
        inputs[0][0, :2] = ["", "Zoë 😀\n"]
    samples.save(tmp_path / "s.npz", signature, inputs)

    loaded = samples.load(tmp_path / "s.npz", signature)
    for before, after in zip(inputs, loaded, strict=True):
        assert after.dtype == before.dtype
        assert after.shape == before.shape
        assert after.tolist() == before.tolist()


def test_loading_never_runs_what_a_file_says(tmp_path: Path) -> None:
    """A file with pickled objects, which could be a program, is refused."""
    pickled: dict[str, Any] = {"inputs/x0": np.array(["a"], object)}
    np.savez(tmp_path / "s.npz", **pickled)

    with pytest.raises(ValueError, match="allow_pickle"):
        samples.load(tmp_path / "s.npz", signature_of(("BYTES", (-1,))))


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    """Saving again replaces the file whole: who has it open reads what was there."""
    signature = Signature((TensorSpec("x", DATATYPES["FP32"], (-1, 3)),), ())
    path = tmp_path / "samples.npz"
    samples.save(path, signature, [np.zeros((2, 3), np.float32)])

    with path.open("rb") as reading:
        before = path.read_bytes()
        samples.save(path, signature, [np.ones((2, 3), np.float32)])
        assert reading.read() == before

    assert samples.load(path, signature)[0].tolist() == [[1.0] * 3] * 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["samples.npz"]
