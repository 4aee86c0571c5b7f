"""Heads of binary requests that were read before say what they said the first time."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidInput, TidegateError
from server.protocol import v2
from server.protocol.contract import Contract
from server.protocol.infer_request import InferRequest
from server.tensors import DATATYPES, Signature, TensorSpec

SIGNATURE = Signature(
    (
        TensorSpec("x", DATATYPES["FP32"], (-1, 2)),
        TensorSpec("flag", DATATYPES["BOOL"], (-1,)),
    ),
    (TensorSpec("y", DATATYPES["FP32"], (-1,)),),
)


def contract() -> Contract:
    return Contract(SIGNATURE, is_batched=True, max_request_rows=100)


def head(rows: int = 1, **more: Any) -> bytes:
    """Return a head that announces both inputs, the second first."""
    inputs = [
        {"name": "flag", "datatype": "BOOL", "shape": [rows], "size": rows},
        {"name": "x", "datatype": "FP32", "shape": [rows, 2], "size": 8 * rows},
    ]
    announced = [{**one, "parameters": {"binary_data_size": one.pop("size")}} for one in inputs]
    return orjson.dumps({"inputs": announced, **more})


def decoded(body: bytes, length: int, known: Contract) -> InferRequest | tuple[str, str]:
    """Return the request, or the error's code and text."""
    try:
        return v2.decode(body, length, known)
    except TidegateError as error:
        return error.code, str(error)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    head(),
                    head(2),
                    head(id="a"),
                    head(parameters={"binary_data_output": True}),
                    head(parameters={"timeout": 5, "priority": 3}),
                    head(outputs=[{"name": "y"}]),
                    b"{}",
                    b"{",
                ]
            ),
            st.binary(max_size=20) | st.sampled_from([b"\1" + bytes(8), b"\1\0" + bytes(16)]),
        ),
        max_size=10,
    )
)
def test_a_known_head_reads_as_if_it_was_new(requests: list[tuple[bytes, bytes]]) -> None:
    """Whatever came before, a request or its error is what a fresh contract makes of it."""
    known = contract()

    for text, tail in requests:
        body = text + tail
        assert decoded(body, len(text), known) == decoded(body, len(text), contract())


def test_the_bytes_of_a_known_head_are_checked_each_time() -> None:
    """What the head says is known, what follows is not."""
    known, text = contract(), head()
    rows = np.array([[1, 2]], np.float32).tobytes()
    assert v2.decode(text + b"\1" + rows, len(text), known).tensors[1] == b"\1"

    again = v2.decode(text + b"\0" + rows, len(text), known)

    assert again.tensors == [rows, b"\0"]
    with pytest.raises(InvalidInput, match="input 'flag': a BOOL byte must be 0 or 1"):
        v2.decode(text + b"\2" + rows, len(text), known)


def test_only_heads_that_may_come_again_are_kept() -> None:
    """One with an id, with data in its JSON, or a long one is read anew; many push out old ones."""
    known = contract()
    tail = b"\1" + bytes(8)
    mixed = orjson.dumps(
        {
            "inputs": [
                {"name": "flag", "datatype": "BOOL", "shape": [1], "data": [True]},
                {
                    "name": "x",
                    "datatype": "FP32",
                    "shape": [1, 2],
                    "parameters": {"binary_data_size": 8},
                },
            ]
        }
    )
    v2.decode(mixed + bytes(8), len(mixed), known)
    for text in (head(id="a"), head(parameters={"note": "x" * 3000})):
        v2.decode(text + tail, len(text), known)
        assert known.heads.request(text + tail, len(text)) is None
    assert known.heads.request(mixed + bytes(8), len(mixed)) is None

    texts = [head(parameters={"note": number}) for number in range(65)]
    for text in texts:
        v2.decode(text + tail, len(text), known)

    assert known.heads.request(texts[-1] + tail, len(texts[-1])) is not None
    assert known.heads.request(texts[0] + tail, len(texts[0])) is None
    assert known.heads.request(texts[-1] + tail + b"1", len(texts[-1])) is None
