"""Sessions: which files are refused, with what words, and with what way out."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from server.engine.session import Session
from server.errors import ModelInvalid
from tests.support import models
from tests.support.batches import opened

COPY_AGAIN = "export the model again, and copy all of it, external data files included"


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"this is not a model\n",
        lambda _: b"\0" * 1000,
        truncated,
        lambda content: content[:-1],
        lambda content: content.replace(b"Mul", b"Mlu"),
    ],
    ids=["empty", "text", "zeros", "half", "one byte short", "unknown operator"],
)
def test_a_broken_file_is_refused_with_a_fix(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """Whatever is wrong with the file: one line that says what, no path of ours, and a way out."""
    with pytest.raises(ModelInvalid) as caught:
        opened(tmp_path, spoil(models.affine()), Session)

    text = str(caught.value)
    assert text.startswith("ONNX Runtime cannot load it: ")
    assert len(text.splitlines()) == 1
    assert len(text) < 500
    assert str(tmp_path) not in text
    assert caught.value.fix == COPY_AGAIN
    assert caught.value.__cause__ is not None


@settings(
    # The same damage each time: ONNX Runtime reads it within the tests' own process.
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_flipped_bit_gets_past_as_another_kind_of_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    """A damaged file opens or is ModelInvalid; nothing else is raised and nothing crashes."""
    content = bytearray(models.two_outputs())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(ModelInvalid):
        assert opened(tmp_path, bytes(content), Session).signature.outputs


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that went away between staging and loading is an invalid model, not a crash."""
    with pytest.raises(ModelInvalid, match="File doesn't exist") as caught:
        Session.open(tmp_path / "model.onnx")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("is_linked", [True, False], ids=["through a link", "directly"])
@pytest.mark.parametrize("is_there", [True, False], ids=["truncated", "missing"])
def test_broken_external_data_is_refused_and_named_without_its_folder(
    tmp_path: Path, is_there: bool, is_linked: bool
) -> None:
    """The text names what is wrong and the file, not where on our disk it lies, links resolved."""
    real = tmp_path / "real"
    models.with_external_data(real)
    if is_there:
        (real / "weights.bin").write_bytes(b"short")
    else:
        (real / "weights.bin").unlink()
    folder = tmp_path / "link" if is_linked else real
    if is_linked:
        folder.symlink_to(real)

    with pytest.raises(ModelInvalid, match="offset" if is_there else "weights.bin") as caught:
        Session.open(folder / "model.onnx")
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.fix == COPY_AGAIN


def test_a_relative_path_leaves_the_words_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving our folder out of a text must not eat other characters of it."""
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(b"garbage")

    with pytest.raises(ModelInvalid, match=r"model\.onnx failed:Protobuf parsing failed\."):
        Session.open(Path("model.onnx"))


def sequence_of_maps() -> bytes:
    """Answer with a list of dictionaries, as scikit-learn's exporter does unless told not to."""
    value = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(models.FLOAT, [])
    )
    graph = helper.make_graph(
        [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        "test",
        [models.tensor("x", models.FLOAT, ("N", 2))],
        [helper.make_value_info("y", helper.make_sequence_type_proto(value))],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(proto.SerializeToString())


def sequence_of_tensors() -> bytes:
    """Answer with a list of tensors."""
    tensor_type = helper.make_tensor_type_proto(models.FLOAT, None)
    return models.model(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])],
        [models.tensor("x", models.FLOAT, ("N", 2))],
        [helper.make_value_info("y", helper.make_sequence_type_proto(tensor_type))],
    )


@pytest.mark.parametrize(
    ("content", "text", "fix"),
    [
        (
            sequence_of_maps,
            "'y' is seq(map(int64,tensor(float))), which cannot be served",
            "export with zipmap=False, so that probabilities are a tensor",
        ),
        (
            sequence_of_tensors,
            "'y' is seq(tensor(float)), which cannot be served",
            "give the model tensors of a datatype of the Open Inference Protocol",
        ),
    ],
)
def test_what_is_not_a_tensor_is_refused_with_the_way_out(
    tmp_path: Path, content: Callable[[], bytes], text: str, fix: str
) -> None:
    """The text names the output and its type; for scikit-learn's maps the fix is one option."""
    with pytest.raises(ModelInvalid) as caught:
        opened(tmp_path, content(), Session)

    assert (str(caught.value), caught.value.fix) == (text, fix)


def test_text_beside_bf16_is_refused_before_any_caller_meets_it(tmp_path: Path) -> None:
    """ONNX Runtime has no way to run such a model from here, so loading it says so."""
    columns = (("b", "BF16"), ("t", "BYTES"))
    content = models.model(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name, _ in columns],
        [models.tensor(name, models.ELEMENT_TYPES[kind], ("N",)) for name, kind in columns],
        [
            models.tensor(f"{name}_out", models.ELEMENT_TYPES[kind], ("N",))
            for name, kind in columns
        ],
    )

    with pytest.raises(ModelInvalid, match="it takes BYTES and has BF16 tensors") as caught:
        opened(tmp_path, content, Session)
    assert caught.value.fix == "cast the BF16 inputs and outputs to FP32 inside the model"
