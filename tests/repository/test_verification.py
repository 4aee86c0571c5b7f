"""What is found out about a version before it may answer anybody."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from server.engine.session import Session
from server.errors import ModelInvalid
from server.repository import samples
from server.repository.verdict import Verdict, VerificationOrder
from server.repository.verification import verify
from tests.support import models
from tests.support.models import FLOAT, model, tensor


def check(tmp_path: Path, content: bytes, *, max_rows: int = 16, may_batch: bool = True) -> Verdict:
    """Verify a model that has no golden rows."""
    (tmp_path / "model.onnx").write_bytes(content)
    return verify(
        VerificationOrder(
            tmp_path / "model.onnx", None, tmp_path / "samples.npz", 1, max_rows, may_batch
        )
    )


@pytest.mark.parametrize("datatype", sorted(models.ELEMENT_TYPES))
def test_a_good_model_of_any_datatype_is_batched(tmp_path: Path, datatype: str) -> None:
    """A model that treats each row alone may share batches, whatever its numbers are."""
    verdict = check(tmp_path, models.identity(datatype))

    assert verdict.is_batched
    assert verdict.warnings == ()
    assert verdict.golden_rows == 0
    assert verdict.batch_seconds > 0
    assert verdict.signature.to_json() == {
        "inputs": [{"name": "x", "datatype": datatype, "shape": [-1, 3]}],
        "outputs": [{"name": "y", "datatype": datatype, "shape": [-1, 3]}],
    }


@pytest.mark.parametrize(
    "content", [models.affine(), models.mixed(), models.identity("FP32", ("N", "M", "K"))]
)
def test_the_inputs_that_worked_are_left_for_warming_up(tmp_path: Path, content: bytes) -> None:
    """What a model was tried with can be loaded and run again."""
    verdict = check(tmp_path, content)

    session = Session.open(tmp_path / "model.onnx")
    inputs = samples.load(tmp_path / "samples.npz", verdict.signature)
    assert {len(array) for array in inputs} == {samples.SAMPLE_ROWS}
    session.run(inputs)


def test_an_open_dimension_is_guessed_until_one_works(tmp_path: Path) -> None:
    """A model that wants 4 columns without saying so is tried with 1 first, then with 4."""
    weight = np.ones((4, 1), np.float32)
    content = model(
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        [tensor("x", FLOAT, ("N", "M"))],
        [tensor("y", FLOAT, ("N", "K"))],
        {"weight": weight},
    )
    verdict = check(tmp_path, content)

    assert verdict.is_batched
    [x] = samples.load(tmp_path / "samples.npz", verdict.signature)
    assert x.shape == (8, 4)


@pytest.mark.parametrize("max_rows", [1, 2, 8, 64])
def test_a_result_that_depends_on_batch_mates_is_seen(tmp_path: Path, max_rows: int) -> None:
    """A model that mixes rows is served unbatched and says which output does it."""
    verdict = check(tmp_path, models.batch_mean(), max_rows=max_rows)

    assert verdict.is_batched == (max_rows == 1), "one row alone has no batch-mates"
    if max_rows > 1:
        assert verdict.warnings == (
            "it is served unbatched: a row of output 'y' in a batch is not what it is alone",
        )


def running_sum() -> bytes:
    """Answer with the sum of all rows so far."""
    return model(
        [helper.make_node("CumSum", ["x", "axis"], ["sum"])],
        [tensor("x", FLOAT, ("N", 1))],
        [tensor("sum", FLOAT, ("N", 1))],
        {"axis": np.array(0, np.int64)},
    )


def two_rows_at_least() -> bytes:
    """Look up the batch's second row: a row alone makes it raise."""
    return model(
        [
            helper.make_node("Gather", ["x", "rows"], ["some"], axis=0),
            helper.make_node("ReduceSum", ["some"], ["sum"], keepdims=1),
            helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
            helper.make_node("Add", ["x", "nothing"], ["y"]),
        ],
        [tensor("x", FLOAT, ("N", 1))],
        [tensor("y", FLOAT, ("N", 1))],
        {"rows": np.array([0, 1], np.int64), "zero": np.zeros((1, 1), np.float32)},
    )


def all_but_the_first() -> bytes:
    """Leave out a row, in a tensor that claims to have a row for each."""
    return model(
        [helper.make_node("Slice", ["x", "one", "end"], ["y"])],
        [tensor("x", FLOAT, ("N", 2))],
        [tensor("y", FLOAT, ("M", 2))],
        {"one": np.array([1], np.int64), "end": np.array([2**62], np.int64)},
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (running_sum(), "a row of output 'sum' in a batch is not what it is alone"),
        (two_rows_at_least(), "it fails on batches of some sizes"),
        (all_but_the_first(), "output 'y' does not have one row for each input row"),
    ],
)
def test_other_ways_to_be_unfit_for_batches_are_seen(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """Running sums, sizes that fail and rows that are not rows: served, alone, with the reason."""
    verdict = check(tmp_path, content)

    assert not verdict.is_batched
    assert verdict.warnings == (f"it is served unbatched: {reason}",)
    assert verdict.batch_seconds > 0


def test_a_model_with_a_fixed_first_dimension_is_served_unbatched(tmp_path: Path) -> None:
    """Requests cannot share what has one size; the note says how to export it otherwise."""
    verdict = check(tmp_path, models.identity("FP32", (1, 3)))

    assert not verdict.is_batched
    [warning] = verdict.warnings
    assert "the first dimension of its tensors is fixed; export it with a free" in warning


def test_a_scalar_input_is_served_unbatched(tmp_path: Path) -> None:
    """A tensor without dimensions has no rows, and is tried all the same."""
    verdict = check(tmp_path, models.identity("FP32", ()))

    assert not verdict.is_batched
    assert verdict.batch_seconds > 0


def test_settings_that_forbid_batches_are_no_cause_for_a_note(tmp_path: Path) -> None:
    """Whoever said max_batch_size 0 knows."""
    verdict = check(tmp_path, models.batch_mean(), may_batch=False)

    assert not verdict.is_batched
    assert verdict.warnings == ()


def test_a_model_that_no_made_up_input_fits_is_served_cold(tmp_path: Path) -> None:
    """It opens, so it may be served; that it could not be tried is said, with what would help."""
    verdict = check(tmp_path, models.gather(rows=1))

    assert not verdict.is_batched
    assert verdict.batch_seconds == 0
    assert verdict.warnings == (
        "it could not be warmed up: no made-up input worked; add golden.npz beside the model",
    )
    assert not (tmp_path / "samples.npz").exists()


def without_outputs() -> bytes:
    proto = onnx.load_from_string(models.identity())
    del proto.graph.input[:]
    proto.graph.node[0].CopyFrom(
        helper.make_node("Constant", [], ["y"], value_floats=[1.0, 2.0, 3.0])
    )
    del proto.graph.output[:]
    proto.graph.output.append(tensor("y", FLOAT, (3,)))
    return bytes(proto.SerializeToString())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ONNX Runtime cannot load it"),
        (b"not a model", "ONNX Runtime cannot load it"),
        (models.affine()[:-20], "ONNX Runtime cannot load it"),
        (without_outputs(), "the model has no inputs or no outputs"),
    ],
)
def test_what_cannot_be_opened_cannot_be_served(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """Nothing, something else, half a model, and a constant are refused with a fix."""
    with pytest.raises(ModelInvalid, match=message) as caught:
        check(tmp_path, content)
    assert caught.value.fix.startswith("export the model again")
    assert str(tmp_path) not in str(caught.value)


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    """A model without its external data file is refused, and the file is named."""
    models.with_external_data(tmp_path)
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(ModelInvalid, match=r"weights\.bin") as caught:
        check(tmp_path, (tmp_path / "model.onnx").read_bytes())
    assert "external data files included" in caught.value.fix
