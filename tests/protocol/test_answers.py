"""Answers of the V2 protocol: written once per batch, each caller's part byte for byte."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import NonFiniteOutput, OutputTooLarge
from server.protocol.answers import AnswerStyle, AnswerWriter, BatchOutputs, InferAnswer, Pieces
from server.protocol.infer_request import InferRequest, Wanted
from server.tensors import DATATYPES, Array, Signature, TensorSpec
from tests.support.contracts import spec

LABEL, SCORE = spec("INT64", -1, name="label"), spec("FP32", -1, 2, name="score")
LABELS = np.array([7, 8, 9])
SCORES = np.array([[0.5, 0.1], [0.25, 0.2], [1, 2]], np.float32)


def writer(*outputs: TensorSpec, model: str = "m", **style: Any) -> AnswerWriter:
    """Make the writer of version 3 of a model."""
    return AnswerWriter(model, "3", Signature((spec(),), outputs), AnswerStyle(**style))


def request(rows: int = 1, **options: Any) -> InferRequest:
    """Make a request as it was decoded, but for its tensors."""
    return InferRequest([], (), rows, **options)


def batch(*arrays: Array) -> BatchOutputs:
    """Make the outputs of a run."""
    return BatchOutputs(arrays, len(arrays[0]))


def write(asked: InferRequest, first: int = 0, *, by: AnswerWriter | None = None) -> InferAnswer:
    """Write the answer to a request whose rows begin at `first`."""
    return (by or writer(LABEL, SCORE)).write(asked, batch(LABELS, SCORES), first, asked.rows)


def test_an_answer_is_these_bytes() -> None:
    """Members in a fixed order, data flat, the version a string."""
    assert write(request(2), 1) == InferAnswer(
        b'{"model_name":"m","model_version":"3","outputs":['
        b'{"name":"label","datatype":"INT64","shape":[2],"data":[8,9]},'
        b'{"name":"score","datatype":"FP32","shape":[2,2],"data":[0.25,0.2,1.0,2.0]}]}'
    )


@pytest.mark.parametrize("identity", ["r1", 'ü"\\', "a\0%s"])
def test_the_id_is_echoed(identity: str) -> None:
    """Escaped as JSON wants it, and absent where none was given."""
    document = orjson.loads(write(request(id=identity)).body)

    assert document["id"] == identity
    assert list(document) == ["model_name", "model_version", "id", "outputs"]
    assert "id" not in orjson.loads(write(request()).body)


def test_warnings_stand_before_the_outputs() -> None:
    """A caller is told in the protocol's own place for it; without warnings it is not there."""
    document = orjson.loads(write(request(id="r", warnings=("odd", 'ü"'))).body)

    assert document["parameters"] == {"warnings": ["odd", 'ü"']}
    assert list(document) == ["model_name", "model_version", "id", "parameters", "outputs"]


def test_only_chosen_outputs_are_written() -> None:
    """As the request lists them."""
    answer = orjson.loads(write(request(outputs=((1, False),))).body)

    assert [output["name"] for output in answer["outputs"]] == ["score"]


def test_binary_outputs_follow_the_json() -> None:
    """Sizes instead of data, the tail in the order of the outputs, the length of the head told."""
    answer = write(request(2, outputs=((0, True), (1, True))), 1)

    assert answer.json_length is not None
    head, tail = answer.body[: answer.json_length], answer.body[answer.json_length :]
    assert head == (
        b'{"model_name":"m","model_version":"3","outputs":['
        b'{"name":"label","datatype":"INT64","shape":[2],"parameters":{"binary_data_size":16}},'
        b'{"name":"score","datatype":"FP32","shape":[2,2],"parameters":{"binary_data_size":16}}]}'
    )
    assert tail == LABELS[1:].tobytes() + SCORES[1:].tobytes()


def joined(pieces: Pieces, size: int) -> InferAnswer:
    """Return the answer that pieces make, having seen that they are of that size."""
    body = b"".join(pieces)
    assert len(body) == size
    return InferAnswer(body, len(pieces[0]))


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.sampled_from([((0, True),), ((1, True),), ((0, True), (1, True))]),
    st.sampled_from(["FP16", "FP32", "INT64", "UINT8", "BOOL", "BF16"]),
)
def test_binary_answers_have_the_bytes_of_single_answers(
    sizes: list[int], wanted: Wanted, datatype: str
) -> None:
    """The short way for callers who want bytes gives what the long way would, to each its rows."""
    total, kind = sum(sizes), DATATYPES[datatype].numpy
    outputs = batch(np.arange(total), (np.arange(total * 2) % 2).astype(kind).reshape(total, 2))
    by, first = writer(LABEL, spec(datatype, -1, 2, name='100%b "score"')), 0

    for rows in sizes:
        written = by.write_binary(wanted, outputs, first, rows)

        assert written is not None
        assert joined(*written) == by.write(request(rows, outputs=wanted), outputs, first, rows)
        first += rows


@given(st.lists(st.lists(st.text(max_size=3), min_size=2, max_size=2), min_size=1, max_size=4))
def test_text_in_binary_has_the_bytes_of_single_answers(texts: list[list[str]]) -> None:
    """The sizes in the JSON are those of the caller's own strings, whatever the names hold."""
    outputs = batch(np.array(texts, object), np.arange(len(texts)))
    by = writer(spec("BYTES", -1, 2, name="100%d"), LABEL, model="%b")

    for wanted in (((0, True), (1, True)), ((1, True),)):
        for first in range(len(texts)):
            rows = len(texts) - first
            written = by.write_binary(wanted, outputs, first, rows)
            assert written is not None
            assert joined(*written) == by.write(request(rows, outputs=wanted), outputs, first, rows)


def test_binary_answers_are_views_of_the_batch() -> None:
    """Large outputs are not copied before they are joined to the answer's head."""
    scores = np.zeros((3, 10_000), np.float32)
    written = writer(spec("FP32", -1, 10_000)).write_binary(((0, True),), batch(scores), 1, 1)
    assert written is not None

    scores[1] = 5

    assert bytes(written[0][1]) == scores[1].tobytes()


@pytest.mark.parametrize(
    ("declared", "array", "more"),
    [
        (spec("FP32", -1, -1), SCORES, {}),
        (spec("FP32", -1, 3), SCORES, {}),
        (spec("FP32", -1, 2), SCORES, {"max_output_bytes": 7}),
        (spec("FP32", -1, 2), SCORES[np.newaxis], {"has_rows": False}),
        (spec("FP32", -1, 2), SCORES[:0], {}),
        (spec("FP32", -1, 0), SCORES[:, :0], {}),
    ],
    ids=["open", "otherwise", "large", "no rows", "none", "empty"],
)
def test_other_binary_answers_are_not_written_the_short_way(
    declared: TensorSpec, array: Array, more: dict[str, Any]
) -> None:
    """The long one has the shape, or the words for what is wrong."""
    rows = min(1, len(array))

    assert writer(declared, **more).write_binary(((0, True),), batch(array), 0, rows) is None


def test_there_is_a_bound_to_what_is_kept_of_answers() -> None:
    """Callers who ask for ever other numbers of rows get their answers, and take no memory."""
    labels = np.arange(600)
    by, outputs = writer(LABEL), batch(labels)

    for rows in range(1, 600):
        written = by.write_binary(((0, True),), outputs, 0, rows)
        assert written is not None
        assert b'"shape":[%d]' % rows in bytes(written[0][0])

    assert len(by._binary_forms) <= 256


def test_json_and_binary_outputs_may_be_mixed() -> None:
    """Only the binary one has bytes in the tail."""
    answer = write(request(outputs=((0, False), (1, True))), 2)

    label, score = orjson.loads(answer.body[: answer.json_length])["outputs"]
    assert label["data"] == [9]
    assert score["parameters"] == {"binary_data_size": 8}
    assert answer.body[answer.json_length :] == SCORES[2].tobytes()


def test_an_empty_binary_output_needs_no_tail() -> None:
    """No rows, no bytes: then everything is JSON, as with Triton."""
    answer = write(request(0, outputs=((0, True),)))

    assert answer.json_length is None
    output = orjson.loads(answer.body)["outputs"][0]
    assert (output["shape"], output["parameters"]) == ([0], {"binary_data_size": 0})


def test_strings_are_written_in_both_forms() -> None:
    """As JSON strings, or each with its length before it."""
    texts = np.array([["a\0", "ü"]], object)
    by = writer(spec("BYTES", -1, 2))

    in_json = by.write(request(), batch(texts), 0, 1)
    binary = by.write(request(outputs=((0, True),)), batch(texts), 0, 1)

    assert orjson.loads(in_json.body)["outputs"][0]["data"] == ["a\0", "ü"]
    assert binary.body[binary.json_length :] == b"\2\0\0\0a\0\2\0\0\0\xc3\xbc"


def test_no_rows_are_an_answer() -> None:
    """Zero in, zero out."""
    output = orjson.loads(write(request(0)).body)["outputs"][1]

    assert (output["shape"], output["data"]) == ([0, 2], [])


@pytest.mark.parametrize("shape", [(3,), (2, 2), (0, 2), ()], ids=str)
def test_without_rows_row_0_is_the_whole_output(shape: tuple[int, ...]) -> None:
    """The model ran for one caller, whose shapes are the model's own."""
    array = np.zeros(shape, np.float32)
    by = writer(TensorSpec("y", DATATYPES["FP32"], shape), has_rows=False)

    for outputs in (None, ((0, True),)):
        answer = by.write(request(outputs=outputs), batch(array[np.newaxis]), 0, 1)
        document = orjson.loads(answer.body[: answer.json_length])
        assert document["outputs"][0]["shape"] == list(shape)
        if outputs is None:
            assert document["outputs"][0]["data"] == array.ravel().tolist()
        elif array.size:
            assert answer.body[answer.json_length :] == array.tobytes()
    assert by.write_single_rows(batch(array[np.newaxis])) is None


@pytest.mark.parametrize("model", ["m", "100%s", "a%b%%", 'q"uote'])
def test_single_rows_have_the_bytes_of_single_answers(model: str) -> None:
    """The short way for many callers writes what the long way would, whatever the names hold."""
    by = writer(LABEL, spec("FP32", -1, 2, name=f"score{model}"), model=model)

    bodies = by.write_single_rows(batch(LABELS, SCORES))

    assert bodies == [write(request(), row, by=by).body for row in range(3)]
    assert orjson.loads(bodies[0])["model_name"] == model


def test_single_rows_are_not_written_where_shapes_vary() -> None:
    """An open dimension is only known per batch; nor is every model true to what it declares."""
    assert writer(spec("FP32", -1, -1)).write_single_rows(batch(SCORES)) is None
    assert writer(spec("FP32", -1, 3)).write_single_rows(batch(SCORES)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_only_the_caller_with_a_bad_row_meets_an_error(value: float) -> None:
    """Batch-mates get their numbers; the error names output and row of the caller's own request."""
    scores = SCORES.copy()
    scores[1, 1] = value
    outputs, by = batch(LABELS, scores), writer(LABEL, SCORE)

    assert by.write_single_rows(outputs) is None
    assert by.write(request(), outputs, 0, 1).body == write(request()).body
    with pytest.raises(
        NonFiniteOutput, match=r"output 'score' is NaN or infinite in row 0; .*token"
    ):
        by.write(request(2), outputs, 1, 2)
    with pytest.raises(NonFiniteOutput, match="in row 1"):
        by.write(request(3), outputs, 0, 3)


def test_what_is_not_finite_may_be_binary_or_a_token_or_left_out() -> None:
    """The three ways that the error text tells of, and never a null."""
    scores = np.array([[np.nan, np.inf]], np.float32)
    outputs = batch(LABELS[:1], scores)

    binary = writer(LABEL, SCORE).write(request(outputs=((1, True),)), outputs, 0, 1)
    assert binary.body.endswith(scores.tobytes())
    left_out = writer(LABEL, SCORE).write(request(outputs=((0, False),)), outputs, 0, 1)
    assert b"NaN" not in left_out.body
    tokens = writer(LABEL, SCORE, non_finite_tokens=True).write(request(), outputs, 0, 1)
    assert b'"data":[NaN,Infinity]' in tokens.body


def test_an_answer_has_a_limit_of_bytes() -> None:
    """The limit itself is let through; it counts the caller's rows, not the batch's."""
    by = writer(LABEL, SCORE, max_output_bytes=32)
    outputs = batch(LABELS, SCORES)

    assert b'"data":[7,8]' in by.write(request(2), outputs, 0, 2).body
    with pytest.raises(OutputTooLarge, match="the model's answer is larger than 32 bytes"):
        by.write(request(3), outputs, 0, 3)
    assert writer(LABEL, SCORE, max_output_bytes=16).write_single_rows(outputs)
    assert writer(LABEL, SCORE, max_output_bytes=15).write_single_rows(outputs) is None


def test_text_is_made_once_for_the_whole_batch() -> None:
    """The second caller is handed the same pieces."""
    outputs = batch(SCORES)

    assert outputs.texts(0, SCORE.datatype) is outputs.texts(0, SCORE.datatype)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.booleans())
def test_callers_get_their_own_rows_however_a_batch_is_shared(
    sizes: list[int], binary: bool
) -> None:
    """The parts of all callers are the batch, in order, nothing twice and nothing lost."""
    total = sum(sizes)
    labels = np.arange(total)
    scores = np.arange(total * 2, dtype=np.float32).reshape(total, 2)
    outputs, by, first = BatchOutputs([labels, scores], total), writer(LABEL, SCORE), 0
    got_labels: list[int] = []
    got_scores: list[float] = []
    for size in sizes:
        answer = by.write(request(size, outputs=((0, False), (1, binary))), outputs, first, size)
        head = orjson.loads(answer.body[: answer.json_length])
        got_labels += head["outputs"][0]["data"]
        tail = answer.body[answer.json_length :] if answer.json_length is not None else b""
        got_scores += (
            np.frombuffer(tail, np.float32).tolist() if binary else head["outputs"][1]["data"]
        )
        first += size

    assert got_labels == labels.tolist()
    assert got_scores == scores.ravel().tolist()


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rows_without_elements_leave_no_commas(rows: int) -> None:
    """An output of shape [rows, 0] is an empty list in JSON, and valid JSON."""
    empty = np.empty((3, 0), np.float32)
    by = writer(spec("FP32", -1, -1, name="score"))

    answer = orjson.loads(by.write(request(rows), batch(empty), 0, rows).body)

    assert answer["outputs"][0] == {
        "name": "score",
        "datatype": "FP32",
        "shape": [rows, 0],
        "data": [],
    }
