"""Whose answers are kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from server.controlplane.prediction_intake import MAX_TRIES
from server.monitoring.locating import Version
from server.monitoring.prediction_blocks import Role
from server.wire.record import Content
from tests.support.canaries import a_canary
from tests.support.predicted import MODEL, FeedbackRig, known_version, records

FIRST = 1_700_000_000_000_000


@pytest.fixture
def rig(tmp_path: Path) -> FeedbackRig:
    """Feedback that has heard of versions 1 and 2 of a model; 1 is live."""
    return FeedbackRig(tmp_path / "state")


def test_versions_and_files_are_told_apart(rig: FeedbackRig) -> None:
    """Rows of unknown models, versions or files, and copies of rows, are kept nowhere."""
    take = rig.feedback.predictions.take

    assert take(records([0.1, 0.2], first=FIRST)) == 2
    assert take(records([0.3], first=FIRST + 5, version="2", digest="d2")) == 1
    assert take(records([0.3], first=FIRST, version="2", digest="d1")) == 0
    assert take(records([0.3], first=FIRST, version="3", digest="d3")) == 0
    assert take(replace(records([0.3], first=FIRST), model="other")) == 0
    assert take(records([0.3], first=FIRST, content=Content.MIRROR)) == 0

    waiting = {one.of: one.blocks[0].row_count for one in rig.feedback.predictions.pending()}
    assert waiting == {Version(MODEL, "1", "d1"): 2, Version(MODEL, "2", "d2"): 1}
    assert rig.feedback.predictions.unkept_rows == 0


def test_roles_follow_the_release(rig: FeedbackRig) -> None:
    """The second version answers as a canary while it is one."""
    rig.canary = a_canary("2", 100, "salt")
    rig.feedback.predictions.take(records([0.3], first=FIRST, version="2", digest="d2"))
    rig.feedback.predictions.take(records([0.3], first=FIRST))

    roles = {
        one.of.version: one.blocks[0].requests["role"].tolist()
        for one in rig.feedback.predictions.pending()
    }
    assert roles == {"1": [Role.LIVE], "2": [Role.CANARY]}


def test_answers_that_no_label_fits_are_counted_and_not_looked_at_for_ever(
    rig: FeedbackRig,
) -> None:
    """An embedding: after some tries nobody asks any more; other files are tried anew."""
    rig.models[MODEL].versions["1"] = known_version(
        "1", outputs={"p": ("FP32", 2), "q": ("FP32", 3)}
    )
    wrong = records([0.4], first=FIRST)
    wrong.outputs[0].array[:] = 7.0

    for _ in range(MAX_TRIES + 5):
        assert rig.feedback.predictions.take(wrong) == 0
    assert rig.feedback.predictions.take(records([0.4], first=FIRST)) == 0

    assert rig.feedback.predictions.unkept_rows == MAX_TRIES + 6


def test_answers_that_were_too_large_are_counted(rig: FeedbackRig) -> None:
    """They say nothing of what kind the answers of the version are."""
    empty = replace(records([0.4, 0.6], first=FIRST), outputs=[])
    for _ in range(MAX_TRIES + 5):
        assert rig.feedback.predictions.take(empty, is_shadow=True) == 0

    assert rig.feedback.predictions.unkept_rows == 2 * (MAX_TRIES + 5)
    assert rig.feedback.predictions.take(records([0.4], first=FIRST)) == 1


def test_nothing_is_kept_where_that_is_switched_off(rig: FeedbackRig) -> None:
    """A sample of 0 costs nothing, and counts nothing as lost."""
    rig.models[MODEL].versions["1"] = known_version("1", sample_bp=0)

    assert rig.feedback.predictions.take(records([0.4], first=FIRST)) == 0
    assert rig.feedback.predictions.pending() == []
    assert rig.feedback.predictions.unkept_rows == 0


def test_a_version_that_is_gone_is_forgotten_when_nothing_waits(rig: FeedbackRig) -> None:
    """Its last rows are written first."""
    predictions = rig.feedback.predictions
    predictions.take(records([0.3], first=FIRST, version="2", digest="d2"))
    del rig.models[MODEL].versions["2"]

    predictions.forget_unloaded()
    waiting = predictions.pending()
    assert [one.of.version for one in waiting] == ["2"]
    predictions.saved(waiting)
    predictions.forget_unloaded()
    assert predictions.pending() == []
