"""Golden rows: recorded inputs and outputs that a model must reproduce."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import ModelInvalid
from server.repository import samples
from server.repository.verdict import Verdict, VerificationOrder
from server.repository.verification import first_difference, verify
from server.tensors import DATATYPES, fp32_to_bf16
from tests.support import models

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = X * 2 + 1
FIX = "save golden.npz again from this model, or correct the model"


def check(folder: Path, content: bytes, golden: dict[str, Any] | bytes) -> Verdict:
    """Verify a model with golden rows: arrays, or the bytes of the file."""
    (folder / "model.onnx").write_bytes(content)
    path = folder / "golden.npz"
    if isinstance(golden, bytes):
        path.write_bytes(golden)
    else:
        np.savez(path, **golden)
    return verify(
        VerificationOrder(folder / "model.onnx", path, folder / "samples.npz", 1, 16, True)
    )


def refusal(folder: Path, content: bytes, golden: dict[str, Any] | bytes) -> str:
    with pytest.raises(ModelInvalid) as caught:
        check(folder, content, golden)
    assert caught.value.fix == FIX
    return str(caught.value)


def test_golden_rows_that_fit_are_counted_and_kept_as_samples(tmp_path: Path) -> None:
    """Real rows are compared, and used for warming up instead of made-up ones."""
    verdict = check(tmp_path, models.affine(), {"inputs/x": X, "outputs/y": Y})

    assert verdict.golden_rows == 4
    assert verdict.is_batched
    [kept] = samples.load(tmp_path / "samples.npz", verdict.signature)
    assert (kept == X).all()


def test_real_rows_open_what_made_up_ones_cannot(tmp_path: Path) -> None:
    """A model that refuses made-up inputs is tried, timed and batched with its golden rows."""
    golden = {"inputs/index": np.zeros(3, np.int64), "outputs/y": np.array([[0, 1]] * 3)}
    verdict = check(tmp_path, models.gather(rows=1), golden)

    assert verdict.is_batched
    assert verdict.batch_seconds > 0
    assert verdict.warnings == ()


def test_rounding_is_no_difference_and_other_widths_are_read(tmp_path: Path) -> None:
    """Answers recorded in double precision, a kernel's rounding away, are the same."""
    golden = {"inputs/x": X.astype(np.float64), "outputs/y": Y.astype(np.float64) * 1.0001}

    assert check(tmp_path, models.affine(), golden).golden_rows == 4


def test_some_outputs_may_be_left_out(tmp_path: Path) -> None:
    """What is recorded is compared, and one output is enough."""
    x = X[:, :2]
    golden = {"inputs/x": x, "outputs/total": x.sum(axis=1)}
    assert check(tmp_path, models.two_outputs(), golden).golden_rows == 4

    golden["outputs/total"] = golden["outputs/total"] + 1
    assert "'total'" in refusal(tmp_path, models.two_outputs(), golden)


def test_text_and_whole_numbers_are_compared_exactly(tmp_path: Path) -> None:
    """Columns of each kind come out as they went in, and one letter is a difference."""
    columns = {
        "name": np.array([["Ann"], ["Zoë"]]),
        "count": np.array([[1], [2**62]]),
        "price": np.array([[0.5], [np.inf]], np.float32),
    }
    golden = {f"inputs/{name}": column for name, column in columns.items()}
    golden |= {f"outputs/{name}_out": column for name, column in columns.items()}
    assert check(tmp_path, models.mixed(), golden).golden_rows == 2

    golden["outputs/name_out"] = np.array([["Ann"], ["Zoe"]])
    assert refusal(tmp_path, models.mixed(), golden) == (
        "golden output 'name_out' is not what the model answers: expected Zoe, got Zoë at [1, 0]"
    )
    golden["outputs/name_out"] = columns["name"]
    golden["outputs/count_out"] = np.array([[1], [2**62 + 1]])
    assert "expected 4611686018427387905, got 4611686018427387904" in (
        refusal(tmp_path, models.mixed(), golden)
    )


def test_another_answer_is_refused_with_the_place(tmp_path: Path) -> None:
    """The first number that differs is named, as expected and as it came."""
    wrong = Y.copy()
    wrong[2, 1] += 0.5

    assert refusal(tmp_path, models.affine(), {"inputs/x": X, "outputs/y": wrong}) == (
        "golden output 'y' is not what the model answers: expected 15.5, got 15.0 at [2, 1]"
    )


def test_another_shape_is_refused(tmp_path: Path) -> None:
    """Answers without their column are not the model's."""
    message = refusal(tmp_path, models.affine(), {"inputs/x": X, "outputs/y": Y[:2]})

    assert message.endswith("expected shape [2, 3], got [4, 3]")


def test_golden_inputs_that_make_the_model_fail_are_told(tmp_path: Path) -> None:
    """ONNX Runtime's own words say what is wrong with the input."""
    golden = {"inputs/index": np.array([99]), "outputs/y": np.zeros((1, 2))}

    message = refusal(tmp_path, models.gather(), golden)
    assert message.startswith("the model fails on its golden inputs: ")
    assert "99" in message


def a_golden_file(tmp_path: Path) -> bytes:
    arrays: dict[str, Any] = {"inputs/x": X, "outputs/y": Y}
    np.savez(tmp_path / "good.npz", **arrays)
    return (tmp_path / "good.npz").read_bytes()


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        ({"outputs/y": Y}, "inputs/x is not a file in the archive"),
        ({"inputs/x": X}, "it has no outputs"),
        ({"inputs/x": X, "outputs/z": Y}, "'outputs/z' is no output of the model"),
        ({"inputs/x": X[:0], "outputs/y": Y[:0]}, "it has no rows"),
        ({"inputs/x": X.astype(str), "outputs/y": Y.astype(str)}, "'outputs/y' is <U32, the model"),
        ({"inputs/x": np.full((1, 3), "a"), "outputs/y": Y[:1]}, "could not convert string"),
        ({"inputs/x": X, "outputs/y": np.array(["a", None])}, "it holds Python objects"),
        (b"", "No data left in file"),
        (b"not an archive", "it is no file of NumPy"),
        (b"PK\x03\x04 nor is this", "not a zip file"),
    ],
)
def test_a_golden_file_that_cannot_be_used_says_why(
    tmp_path: Path, golden: dict[str, Any] | bytes, message: str
) -> None:
    """Whatever is in the file, the checking process answers with the cause and the form."""
    told = refusal(tmp_path, models.affine(), golden)

    assert told.startswith("golden.npz cannot be used: ")
    assert message in told
    assert told.endswith(
        "it needs an array 'inputs/NAME' for each input and 'outputs/NAME' for the outputs to "
        "compare"
    )


def test_half_a_golden_file_is_refused_at_any_length(tmp_path: Path) -> None:
    """A file that is still being copied, or a flipped byte in it, is told and crashes nothing."""
    good = a_golden_file(tmp_path)
    for cut in range(1, len(good), 61):
        assert "golden.npz cannot be used" in refusal(tmp_path, models.affine(), good[:cut])
    flipped = bytearray(good)
    flipped[200] ^= 0xFF
    assert "golden.npz cannot be used" in refusal(tmp_path, models.affine(), bytes(flipped))


def test_one_array_alone_is_no_golden_file(tmp_path: Path) -> None:
    """A .npy file under the name is refused."""
    np.save(tmp_path / "x.npy", X)

    assert "golden.npz cannot be used" in (
        refusal(tmp_path, models.affine(), (tmp_path / "x.npy").read_bytes())
    )


@given(st.lists(st.floats(width=32), min_size=1))
@example([float("nan"), float("inf"), float("-inf"), -0.0])
def test_any_numbers_agree_with_themselves(values: list[float]) -> None:
    """NaN, infinities and signed zeros are equal to themselves, in each float datatype."""
    fp32 = np.array(values, np.float32)
    for name in ("FP32", "FP64"):
        assert first_difference(fp32, fp32.astype(DATATYPES[name].numpy), DATATYPES[name]) == ""
    bf16 = fp32_to_bf16(fp32)
    assert first_difference(bf16, bf16, DATATYPES["BF16"]) == ""


def test_numbers_are_compared_within_the_tolerance() -> None:
    """A thousandth is rounding, a hundredth is not; NaN equals NaN only; BF16 may be numbers."""
    fp32 = DATATYPES["FP32"]
    one = np.array([1.0], np.float32)

    assert first_difference(one, np.array([1.0009]), fp32) == ""
    assert first_difference(one, np.array([1.01]), fp32) == "expected 1.01, got 1.0 at [0]"
    assert first_difference(np.zeros(1), np.array([9e-6]), fp32) == ""
    assert first_difference(one, np.array([np.nan]), fp32) == "expected nan, got 1.0 at [0]"
    bits = fp32_to_bf16(np.array([1.0, 3.0], np.float32))
    assert first_difference(bits, np.array([1.0, 3.0]), DATATYPES["BF16"]) == ""
    assert first_difference(bits, bits[::-1], DATATYPES["BF16"]) == "expected 3.0, got 1.0 at [0]"
