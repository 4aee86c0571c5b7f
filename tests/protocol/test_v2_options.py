"""What a V2 request may ask for beside its tensors: id, outputs, parameters."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from server.errors import InvalidRequest
from server.protocol import v2
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.protocol.priorities import HIGH, LOW
from tests.support.contracts import contract, spec

ROW: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
TWO_OUTPUTS = contract(outputs=(spec(name="label"), spec(name="score")))


def ask(accepted: Contract | None = None, **options: object) -> InferRequest:
    """Decode a good request with further members."""
    document = orjson.dumps({"inputs": [ROW], **options})
    return v2.decode(document, None, accepted or contract())


@pytest.mark.parametrize(
    ("identity", "kept"),
    [("r1", "r1"), ("ü 1\0", "ü 1\0"), ("", None), (None, None), ("i" * 256,) * 2],
)
def test_the_id_is_kept_for_the_answer(identity: str | None, kept: str | None) -> None:
    """Empty counts as not given, as with Triton."""
    request = ask(id=identity)

    assert request.id == kept
    assert request.is_plain == (kept is None)


@pytest.mark.parametrize("identity", [1, True, ["r"], {}, "i" * 257], ids=lambda i: repr(i)[:6])
def test_the_id_is_a_string(identity: object) -> None:
    """Numbers are not made text, and the length is bounded because it is echoed."""
    with pytest.raises(InvalidRequest, match="'id' must be a string of at most 256 characters"):
        ask(id=identity)


def test_members_that_the_protocol_does_not_know_are_ignored() -> None:
    """Its own example carries model_name; null stands for not given."""
    request = ask(model_name="m", parameters=None, outputs=None, id=None)

    assert request.is_plain


def test_chosen_outputs_come_in_the_order_of_the_model() -> None:
    """Only those that are listed, each in the form that it asks for."""
    both = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "label"}]

    assert ask(TWO_OUTPUTS, outputs=[{"name": "score"}]).outputs == ((1, False),)
    assert ask(TWO_OUTPUTS, outputs=both).outputs == ((0, False), (1, True))
    assert not ask(TWO_OUTPUTS, outputs=both).is_plain


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (None, ((0, True), (1, True))),
        ([], ((0, True), (1, True))),
        ([{"name": "label"}], ((0, False),)),
        ([{"name": "label", "parameters": {}}], ((0, False),)),
        ([{"name": "label", "parameters": {"binary_data": True}}], ((0, True),)),
        ([{"name": "label", "parameters": {"binary_data": False}}], ((0, False),)),
    ],
)
def test_listed_outputs_do_not_follow_the_default_for_binary(
    outputs: object, expected: tuple[tuple[int, bool], ...]
) -> None:
    """As with Triton, binary_data_output speaks for outputs that are not listed."""
    request = ask(TWO_OUTPUTS, outputs=outputs, parameters={"binary_data_output": True})

    assert request.outputs == expected


PARAMETERS: dict[str, tuple[Callable[[object], dict[str, Any]], str]] = {
    "request": (lambda parameters: {"parameters": parameters}, "the request"),
    "input": (lambda parameters: {"inputs": [ROW | {"parameters": parameters}]}, "input 'x'"),
    "output": (
        lambda parameters: {"outputs": [{"name": "y", "parameters": parameters}]},
        "output 'y'",
    ),
}


@pytest.mark.parametrize("place", PARAMETERS)
@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ([], "parameters must be an object"),
        ("a", "parameters must be an object"),
        ({"triton_enable": True}, "parameter 'triton_enable' is reserved"),
        ({"mine": None}, "parameter 'mine' must be a string, a number or a boolean"),
        ({"mine": []}, "parameter 'mine' must be a string, a number or a boolean"),
        ({"mine": {}}, "parameter 'mine' must be a string, a number or a boolean"),
        ({"classification": 3}, "the classification extension is not supported"),
        ({"shared_memory_region": "r"}, "shared memory is not supported"),
        ({"sequence_id": 1}, "stateful sequences are not supported"),
        ({"sequence_start": True}, "stateful sequences are not supported"),
        ({"sequence_end": True}, "stateful sequences are not supported"),
    ],
    ids=str,
)
def test_parameters_that_cannot_be_honoured_are_refused(
    place: str, parameters: object, text: str
) -> None:
    """Wherever they stand: silently ignoring them would answer another question."""
    members, where = PARAMETERS[place]

    with pytest.raises(InvalidRequest) as caught:
        ask(**members(parameters))

    assert str(caught.value).startswith(f"{where}: {text}")


@pytest.mark.parametrize("place", PARAMETERS)
def test_other_parameters_are_let_through(place: str) -> None:
    """Strings, numbers and booleans of any name, such as those of Triton; null is none."""
    members, _ = PARAMETERS[place]

    for parameters in ({"priority": 1, "mine": "a", "share": 0.5, "on": True}, None, {}):
        assert ask(**members(parameters)).rows == 1


@pytest.mark.parametrize(
    ("parameters", "priority"),
    [({}, None), ({"priority": 0}, None), ({"priority": 1}, HIGH), ({"priority": 7}, LOW)],
)
def test_the_priority_is_one_of_three(parameters: dict[str, int], priority: int | None) -> None:
    """Triton's numbers; what says nothing leaves it to the header."""
    assert ask(parameters=parameters).priority == priority


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(None, None), (0, None), (1, 1e-6), (2_500_000, 2.5), (2**64 - 1, 2**64 / 1e6)],
)
def test_the_timeout_is_in_microseconds(timeout: int | None, seconds: float | None) -> None:
    """0 means none, as in Triton; the limit on long ones is set elsewhere."""
    request = ask(parameters={} if timeout is None else {"timeout": timeout})

    assert request.timeout_seconds == seconds
    assert request.is_plain


@pytest.mark.parametrize("timeout", [-1, 1.5, 0.0, "1", True, False, 1e30], ids=repr)
def test_the_timeout_is_a_whole_number(timeout: object) -> None:
    """False is not 0 here either."""
    with pytest.raises(InvalidRequest, match="'timeout' must be a whole number of microseconds"):
        ask(parameters={"timeout": timeout})


def test_a_timeout_of_any_length_is_no_trouble() -> None:
    """Not where a NaN beside it has Python's own parser read the integer, either."""
    body = orjson.dumps({"inputs": [ROW], "parameters": {"timeout": 1, "mine": 2}})
    long = body.replace(b'"timeout":1', b'"timeout":1' + b"0" * 300).replace(b":2}", b":NaN}")

    with pytest.raises(InvalidRequest, match="'timeout' must be a whole number"):
        v2.decode(long, None, contract())


@pytest.mark.parametrize("flag", ["true", 1, 0, 1.0], ids=repr)
def test_flags_are_true_or_false(flag: object) -> None:
    """Python would take 1 for true."""
    with pytest.raises(InvalidRequest, match="'binary_data_output' must be true or false"):
        ask(parameters={"binary_data_output": flag})
    with pytest.raises(InvalidRequest, match="output 'y': parameter 'binary_data' must be true or"):
        ask(outputs=[{"name": "y", "parameters": {"binary_data": flag}}])


@pytest.mark.parametrize("outputs", [{}, {"name": "y"}, "y", "", 0, False, 1], ids=repr)
def test_outputs_are_a_list(outputs: object) -> None:
    """Also where another kind is empty and could be taken for none."""
    with pytest.raises(InvalidRequest, match="'outputs' must be a list"):
        ask(outputs=outputs)


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ({"name": "z"}, "z"),
        ({}, "null"),
        ("y", "null"),
        (None, "null"),
        ({"name": ["y"]}, "a list"),
    ],
    ids=repr,
)
def test_an_output_that_the_model_lacks_is_refused(item: object, named: str) -> None:
    """The text lists those that there are."""
    text = f"the model has no output '{named}'; its outputs are 'label', 'score'"
    with pytest.raises(InvalidRequest, match=text):
        ask(TWO_OUTPUTS, outputs=[item])


def test_an_output_asked_for_twice_is_refused() -> None:
    """It could not be told in which form."""
    with pytest.raises(InvalidRequest, match="output 'y' is asked for twice"):
        ask(outputs=[{"name": "y"}, {"name": "y", "parameters": {"binary_data": True}}])
