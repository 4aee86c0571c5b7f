"""Kept predictions for tests: blocks of two classes, three classes and numbers."""

from collections.abc import Sequence

import numpy as np

from server.monitoring.kept_answers import AnswerPlan, AnswerReader, LabelKind
from server.monitoring.prediction_blocks import (
    HOUR_US,
    NO_HASH,
    REQUEST_COLUMNS,
    PredictionBlock,
    Role,
)
from server.monitoring.realised import Task
from server.tensors import Array

HOUR = 480_000
"""Some hour since 1970."""

START_US = HOUR * HOUR_US

BINARY = AnswerPlan(Task.BINARY, LabelKind.INTEGER, "p", classes=2)
NUMBER = AnswerPlan(Task.REGRESSION, LabelKind.NUMBER, value="y")


def block(
    numbers: Sequence[int],
    scores: Sequence[float],
    *,
    plan: AnswerPlan = BINARY,
    own_ids: Sequence[int] = (),
    role: Role = Role.LIVE,
    segments: Sequence[str] = (),
    rows: Sequence[int] = (),
) -> PredictionBlock:
    """Return a block of requests, by how many microseconds after START_US they came.

    They have one row each, unless told.

    Scores are of class 1, or the values of a regression. With `segments`, each row has one of
    these values of the feature `sex`.
    """
    values = np.array(scores, np.float32)
    outputs: dict[str, Array] = {"p": np.stack([1 - values, values], 1), "y": values.reshape(-1, 1)}
    reader = AnswerReader(plan)
    answers = reader.take(outputs)
    assert answers is not None
    columns = {
        "at_us": [START_US + number for number in numbers],
        "tag": [1] * len(numbers),
        "own_id": own_ids or [NO_HASH] * len(numbers),
        "first_row": [0] * len(numbers),
        "rows": rows or [1] * len(numbers),
        "role": [role] * len(numbers),
    }
    words = tuple(dict.fromkeys(segments))
    codes = np.array([words.index(one) for one in segments], np.uint8).reshape(-1, 1)
    return PredictionBlock(
        plan,
        reader.names,
        ("sex",) if segments else (),
        {name: np.array(columns[name], dtype) for name, dtype in REQUEST_COLUMNS.items()},
        answers,
        words,
        codes if segments else np.zeros((0, 0), np.uint8),
    )
