"""Asking a model about rows: in pieces, and with the rows that it fails on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from server.engine.session import Session
from server.operator_errors import DataInvalid
from server.reference.answering import Answers
from tests.support import models


def answers(tmp_path: Path, content: bytes, max_rows: int = 4, *, is_batched: bool = True) -> Any:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    return Answers(Session.open(path), max_rows, is_batched=is_batched)


@pytest.mark.parametrize("rows", [1, 4, 11])
def test_rows_are_answered_in_their_order(tmp_path: Path, rows: int) -> None:
    """Whether they are one batch or several."""
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)

    found = answers(tmp_path, models.affine()).of({"x": x}, np.arange(rows))
    assert found["y"].tolist() == (x * 2 + 1).tolist()


def test_a_model_that_is_not_batched_is_asked_row_by_row(tmp_path: Path) -> None:
    """Its answer depends on who else is in the batch; alone, it is what a request gets."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    together = answers(tmp_path, models.batch_mean()).of({"x": x}, np.arange(2))["y"]
    alone = answers(tmp_path, models.batch_mean(), is_batched=False).of({"x": x}, np.arange(2))["y"]

    assert together.tolist() != alone.tolist()
    for row in range(2):
        one = {"x": x[row : row + 1]}
        assert answers(tmp_path, models.batch_mean()).of(one, np.arange(1))["y"][0].tolist() == (
            alone[row].tolist()
        )


def test_rows_that_the_model_fails_on_are_named(tmp_path: Path) -> None:
    """By their numbers in the file."""
    asked = answers(tmp_path, models.gather())
    name = asked.signature.inputs[0].name
    places = np.array([0, 1, 0, 0, 99, 0])

    with pytest.raises(DataInvalid, match="the model fails on row 105 to 106: ") as caught:
        asked.of({name: places}, np.arange(100, 106))
    assert caught.value.fix


def test_a_model_of_so_many_rows_is_refused(tmp_path: Path) -> None:
    """Rows of a batch that has to be full cannot be told apart; one row at a time can."""
    with pytest.raises(DataInvalid, match=r"input 'x' has shape \[8, 3\]: rows cannot be told"):
        answers(tmp_path, models.identity("FP32", (8, 3)))
    x = np.ones((3, 3), np.float32)
    fixed = answers(tmp_path, models.identity("FP32", (1, 3)), is_batched=False)
    assert fixed.of({"x": x}, np.arange(3))["y"].shape == (3, 3)


def test_an_answer_without_rows_is_refused(tmp_path: Path) -> None:
    """A sum over the batch is no answer to any row."""
    content = models.model(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [models.tensor("x", models.FLOAT, ("N", 3))],
        [models.tensor("y", models.FLOAT, ())],
    )
    with pytest.raises(DataInvalid, match=r"output 'y' has shape \[\] for row 1 to 2"):
        answers(tmp_path, content).of({"x": np.ones((2, 3), np.float32)}, np.arange(2))


def test_answers_whose_shape_depends_on_the_rows_are_refused(tmp_path: Path) -> None:
    """They cannot stand in one column."""
    content = models.model(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Cast", ["most"], ["size"], to=7),
            helper.make_node("Unsqueeze", ["size", "zero"], ["sizes"]),
            helper.make_node("Concat", ["one", "sizes"], ["shape"], axis=0),
            helper.make_node("Expand", ["x", "shape"], ["y"]),
        ],
        [models.tensor("x", models.FLOAT, ("N", 1))],
        [models.tensor("y", models.FLOAT, ("N", "M"))],
        {"zero": np.array([0]), "one": np.array([1])},
    )
    x = np.array([[2], [3]], np.float32)
    with pytest.raises(DataInvalid, match="shapes that change from row to row"):
        answers(tmp_path, content, 1).of({"x": x}, np.arange(2))
