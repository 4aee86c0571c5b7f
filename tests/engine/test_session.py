"""Sessions: how a model is described, and what it answers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from server.engine.session import Session
from server.errors import ModelFailed
from server.tensors import DATATYPES, Array, fp32_to_bf16, to_array
from tests.support import models
from tests.support.batches import opened, rows

SAMPLES = {
    "BOOL": [True, False, True],
    "UINT8": [0, 1, 255],
    "UINT16": [0, 1, 65535],
    "UINT32": [0, 1, 2**32 - 1],
    "UINT64": [0, 1, 2**64 - 1],
    "INT8": [-128, 0, 127],
    "INT16": [-(2**15), 0, 2**15 - 1],
    "INT32": [-(2**31), 0, 2**31 - 1],
    "INT64": [-(2**63), 0, 2**63 - 1],
    "FP16": [-65504.0, float("nan"), 6e-8],
    "FP32": [float("-inf"), float("nan"), 1e-45],
    "FP64": [float("inf"), -0.0, 5e-324],
    "BF16": [0x3F80, 0x7FC0, 0xFF7F],
    "BYTES": ["", "žlutý 🌊", "nul \0 inside"],
}


@pytest.mark.parametrize("name", DATATYPES)
def test_every_datatype_goes_through_unchanged(tmp_path: Path, name: str) -> None:
    """Each datatype is described by its own word, and its extremes come back bit by bit."""
    session = opened(tmp_path, models.identity(name), Session)
    x = np.array([SAMPLES[name]], DATATYPES[name].numpy)

    [y] = session.run([x])
    [described] = session.signature.inputs
    assert (described.name, described.datatype.name, described.shape) == ("x", name, (-1, 3))
    assert session.signature.outputs[0].datatype is described.datatype
    assert y.dtype == x.dtype
    assert y.shape == (1, 3)
    assert y.tolist() == x.tolist() if name == "BYTES" else y.tobytes() == x.tobytes()


@pytest.mark.parametrize("name", ["BF16", "FP32", "BYTES"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_any_number_of_rows_can_be_run(tmp_path: Path, name: str, count: int) -> None:
    """No rows at all is as good a batch as any."""
    session = opened(tmp_path, models.identity(name), Session)
    x = np.array([SAMPLES[name]] * count, DATATYPES[name].numpy).reshape(count, 3)

    [y] = session.run([x])
    assert y.shape == (count, 3)


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        (("N", 3), (-1, 3)),
        (("N", "M", 2), (-1, -1, 2)),
        ((1, 3), (1, 3)),
        ((), ()),
        (("batch",), (-1,)),
    ],
)
def test_free_dimensions_are_minus_one_and_fixed_ones_are_kept(
    tmp_path: Path, dims: models.Dims, shape: tuple[int, ...]
) -> None:
    """A dimension with a name may have any size; one with a number may not."""
    session = opened(tmp_path, models.identity("FP32", dims), Session)

    assert [spec.shape for spec in session.signature.inputs] == [shape]
    assert [spec.shape for spec in session.signature.outputs] == [shape]


def test_a_dimension_without_name_and_size_is_free(tmp_path: Path) -> None:
    """An exporter that says nothing of a dimension means that it may have any size."""
    proto = onnx.load_from_string(models.identity())
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].Clear()
    session = opened(tmp_path, proto.SerializeToString(), Session)

    assert session.signature.inputs[0].shape == (-1, 3)


def test_inputs_and_outputs_keep_the_model_s_order(tmp_path: Path) -> None:
    """Arrays are matched to names by the order of the signature, which is the model's."""
    session = opened(tmp_path, models.mixed(), Session)
    inputs: list[Array] = [
        np.array([["a"]], object),
        np.array([[7]], np.int64),
        np.array([[0.5]], np.float32),
    ]

    outputs = session.run(inputs)
    assert [spec.name for spec in session.signature.inputs] == ["name", "count", "price"]
    assert [spec.name for spec in session.signature.outputs] == [
        "name_out",
        "count_out",
        "price_out",
    ]
    assert [output.tolist() for output in outputs] == [[["a"]], [[7]], [[0.5]]]


def test_a_weight_with_a_default_is_not_an_input(tmp_path: Path) -> None:
    """Old exporters list weights among the inputs; a caller must not be asked for them."""
    proto = onnx.load_from_string(models.affine())
    proto.graph.input.append(models.tensor("scale", models.FLOAT, (1,)))
    session = opened(tmp_path, proto.SerializeToString(), Session)

    assert [spec.name for spec in session.signature.inputs] == ["x"]
    assert session.run([rows(1)])[0].tolist() == rows(3).tolist()


def test_bf16_goes_along_with_text_and_numbers(tmp_path: Path) -> None:
    """One BF16 tensor changes the way of all; views of a request's bytes still go through."""
    content = models.model(
        [
            helper.make_node("Cast", ["b"], ["as_float"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["as_float"], ["text"], to=TensorProto.STRING),
            helper.make_node("Identity", ["f"], ["f_out"]),
        ],
        [models.tensor("b", TensorProto.BFLOAT16, ("N",)), models.tensor("f", 1, ("N",))],
        [models.tensor("text", TensorProto.STRING, ("N",)), models.tensor("f_out", 1, ("N",))],
    )
    session = opened(tmp_path, content, Session)
    bits = fp32_to_bf16(np.array([1.5, -2.0], np.float32))
    floats = np.array([0.25, 4.0], np.float32).tobytes()
    view = to_array(memoryview(b"?" + floats)[1:], DATATYPES["FP32"], (2,))

    text, numbers = session.run([bits, view])
    assert text.tolist() == ["1.5", "-2"]
    assert numbers.tolist() == [0.25, 4.0]


def test_bf16_is_computed_with_as_bf16(tmp_path: Path) -> None:
    """The bits reach the model as numbers: a cast to FP32 gives their values."""
    content = models.model(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        [models.tensor("x", TensorProto.BFLOAT16, ("N",))],
        [models.tensor("y", models.FLOAT, ("N",))],
    )
    session = opened(tmp_path, content, Session)

    [y] = session.run([fp32_to_bf16(np.array([1.5, -0.375], np.float32))])
    assert y.tolist() == [1.5, -0.375]


def test_what_bf16_answers_outlives_the_run(tmp_path: Path) -> None:
    """Bits are copied out of the runtime's memory, which is used again by the next run."""
    session = opened(tmp_path, models.identity("BF16", ("N",)), Session)
    answers = [session.run([np.full(1000, value, np.uint16)])[0] for value in range(20)]

    assert [set(answer.tolist()) for answer in answers] == [{value} for value in range(20)]


def test_a_failing_run_names_no_path_and_keeps_the_cause(tmp_path: Path) -> None:
    """The caller reads a fixed text; the log gets ONNX Runtime's own words from the cause."""
    session = opened(tmp_path, models.gather(4), Session)

    with pytest.raises(ModelFailed, match=r"^the model failed on this input$") as caught:
        session.run([np.array([9], np.int64)])
    assert "idx=9" in str(caught.value.__cause__)
    assert session.run([np.array([1], np.int64)])[0].tolist() == [[2.0, 3.0]]


def test_a_failing_run_with_bf16_is_the_same_error(tmp_path: Path) -> None:
    """Also on the way for BF16 whatever is raised is the model's failure."""
    session = opened(tmp_path, models.identity("BF16", (2,)), Session)

    with pytest.raises(ModelFailed, match="the model failed on this input"):
        session.run([np.zeros(3, np.uint16)])


def test_external_data_is_read_from_beside_the_model(tmp_path: Path) -> None:
    """Weights in a file of their own are part of the model."""
    models.with_external_data(tmp_path, offset=3.0)
    session = Session.open(tmp_path / "model.onnx")

    [y] = session.run([np.zeros((1, 1024), np.float32)])
    assert set(y.ravel().tolist()) == {3.0}


def test_many_threads_give_the_same_rows(tmp_path: Path) -> None:
    """The number of threads is a matter of speed alone."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.affine())

    [one], [many] = (Session.open(path, threads=count).run([rows(1, 2, 3)]) for count in (1, 4))
    assert one.tolist() == many.tolist()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_session_takes_no_more_of_the_machine_than_it_is_told(
    tmp_path: Path, threads: int
) -> None:
    """So many threads and no more, none that spins, no arena that keeps memory, the CPU alone."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.affine())
    runtime = Session.open(path, threads=threads)._session
    options = runtime.get_session_options()

    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_cpu_mem_arena
    assert runtime.get_providers() == ["CPUExecutionProvider"]
