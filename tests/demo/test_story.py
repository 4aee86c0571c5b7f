"""The demo's scenes come in order, once, and only the rows they name are spoilt."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.demo.story import MODEL, SCENES, SPOILT_FACTOR, SPOILT_SECONDS, due, spoilt

moments = st.floats(0.0, 300.0)


@given(st.lists(moments, min_size=1))
def test_every_scene_comes_once_and_in_order(times: list[float]) -> None:
    """However irregular the moments at which somebody looks."""
    seen, last = [], -1.0
    for now in sorted(times):
        seen += due(last, now)
        last = now

    assert seen == [scene for scene in SCENES if scene.at_seconds <= last]


def test_a_scene_that_calls_says_who_and_why() -> None:
    """The audit of the demo is as full as anybody's."""
    for scene in SCENES:
        if scene.action:
            assert scene.members is not None
            assert scene.members["reason"]
            assert scene.members["actor"] == "demo"


def test_rows_are_spoilt_in_one_column_of_one_model_for_a_while() -> None:
    """And what is spoilt is a copy."""
    begin, end = SPOILT_SECONDS
    rows = np.arange(12, dtype=np.float32).reshape(4, 3) + 1.0
    inputs = {"features": rows}

    changed = spoilt(MODEL, inputs, begin)["features"]
    assert changed[:, 0].tolist() == (rows[:, 0] * SPOILT_FACTOR).tolist()
    assert changed[:, 1:].tolist() == rows[:, 1:].tolist()
    for model, now in ((MODEL, begin - 0.1), (MODEL, end), ("digits", begin)):
        assert spoilt(model, inputs, now)["features"].tolist() == rows.tolist()
    assert rows[0, 0] == 1.0
