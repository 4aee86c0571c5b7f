"""Answers of one version on their way into blocks."""

from collections.abc import Sequence

import numpy as np
import pytest

from server.controlplane import kept_predictions
from server.controlplane.kept_predictions import Keeping, Standing
from server.monitoring.kept_answers import AnswerPlan, LabelKind
from server.monitoring.prediction_blocks import PredictionBlock, PredictionId, Role, own_hash
from server.monitoring.realised import Task
from server.wire.record import BatchRecords, NamedTensor, OwnId, prediction_id
from tests.support.predicted import SEX, TAG, records

PLAN = AnswerPlan(Task.BINARY, LabelKind.INTEGER, "p", classes=2)
LIVE = Standing(is_live=True, is_canary=False)
FIRST = 1_700_000_000_000_000
ALL = 10_000


def kept(*some: BatchRecords, standing: Standing = LIVE, sample_bp: int = ALL) -> PredictionBlock:
    """Return the block that is made of some records."""
    keeping = Keeping(PLAN, [SEX])
    for one in some:
        assert keeping.take(one, standing, sample_bp) == 0
    (block,), _ = keeping.blocks()
    return block


def scores(block: PredictionBlock) -> list[float]:
    """Return the scores of all rows, rounded."""
    return [round(float(one), 3) for one in block.answers["score"]]


def test_each_row_is_kept_under_the_id_of_its_request() -> None:
    """Requests of several rows, requests that were not answered, a second record."""
    one = records([0.1, 0.2, 0.3], first=FIRST, rows=[2, 0, 1])
    two = records([0.4], first=FIRST + 50)

    block = kept(one, two)

    assert block.requests["at_us"].tolist() == [FIRST, FIRST + 2, FIRST + 50]
    assert scores(block) == [0.1, 0.2, 0.3, 0.4]
    (request,) = block.find(PredictionId(FIRST, int(TAG, 16)))
    assert (block.place(request, 1), block.place(request, 2)) == (1, None)


def test_own_ids_and_parts_of_large_requests() -> None:
    """A caller's own id is known by its hash; a part by the number of its whole request."""
    own_ids = [
        OwnId(0, "order 7", 0),
        OwnId(2, prediction_id(FIRST - 100, TAG), 64),
        OwnId(3, "order 8", 2),
    ]
    block = kept(records([0.1, 0.2, 0.3, 0.4], first=FIRST, own_ids=own_ids))

    assert block.find(PredictionId(own_id=own_hash("order 7"))) == [0]
    (part,) = block.find(PredictionId(FIRST - 100, int(TAG, 16)))
    assert (part, block.place(part, 64), block.place(part, 0)) == (2, 2, None)
    (last,) = block.find(PredictionId(own_id=own_hash("order 8")))
    assert block.place(last, 2) == 3


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (LIVE, [Role.LIVE, Role.LIVE]),
        (Standing(is_live=False, is_canary=True), [Role.CANARY, Role.PINNED]),
        (Standing(is_live=False, is_canary=False), [Role.LIVE, Role.PINNED]),
    ],
)
def test_the_role_follows_from_the_release_and_the_request(
    standing: Standing, expected: Sequence[Role]
) -> None:
    """Who named no version had the live one of then, or the canary; who named one chose it."""
    block = kept(records([0.1, 0.2], first=FIRST, pinned=[False, True]), standing=standing)

    assert block.requests["role"].tolist() == list(expected)


def test_a_sample_is_the_same_for_all_parts_of_a_request() -> None:
    """About the share that was asked for; by the id, so that no part is missing."""
    rows = 4000
    block = kept(records([0.5] * rows, first=FIRST), sample_bp=1000)
    assert block.row_count == pytest.approx(rows / 10, rel=0.2)

    ids = [OwnId(at, f"order {at % 100}", at // 100) for at in range(1000)]
    parts = kept(records([0.5] * 1000, first=FIRST, own_ids=ids), sample_bp=5000)
    _, counts = np.unique(parts.requests["own_id"], return_counts=True)
    assert set(counts.tolist()) == {10}
    assert 20 < len(counts) < 80


def test_rows_have_their_segments() -> None:
    """By the declared values; another one is other, and rows without inputs have none."""
    block = kept(records([0.1, 0.2, 0.3], first=FIRST, sexes=["m", "x", "f"]))

    assert [dict(block.segment_values(row)) for row in range(3)] == [
        {"sex": "m"},
        {"sex": "other"},
        {"sex": "f"},
    ]
    assert list(kept(records([0.1], first=FIRST)).segment_values(0)) == []


def test_rows_that_cannot_be_kept_are_counted() -> None:
    """Outputs that were reduced, or have other rows than the record says."""
    keeping = Keeping(PLAN, [])
    reduced = records([0.1, 0.2], first=FIRST)
    reduced.outputs[:] = [NamedTensor("p", "FP32", np.zeros(2, [("mean", "<f8")]))]
    short = records([0.1, 0.2], first=FIRST)
    short.outputs[:] = [NamedTensor("p", "FP32", short.outputs[0].array[:1])]

    assert keeping.take(reduced, LIVE, ALL) == 2
    assert keeping.take(short, LIVE, ALL) == 2
    assert keeping.take(records([0.1], first=FIRST, rows=[0, 1]), LIVE, 0) == 0
    assert keeping.pending_rows == 0


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest rows go first, and are counted once."""
    monkeypatch.setattr(kept_predictions, "MAX_PENDING_ROWS", 5)
    keeping = Keeping(PLAN, [])
    for number in range(4):
        keeping.take(records([0.1, 0.2], first=FIRST + number * 10), LIVE, ALL)

    (block,), pieces = keeping.blocks()
    assert (keeping.pending_rows, keeping.take_lost(), keeping.take_lost()) == (4, 4, 0)
    assert block.span_us[0] == FIRST + 20

    keeping.take(records([0.3], first=FIRST + 90), LIVE, ALL)
    keeping.saved(pieces)
    (rest,), _ = keeping.blocks()
    assert scores(rest) == [0.3]


def test_rows_that_are_judged_differently_are_blocks_of_their_own() -> None:
    """What a class is called was learned in between."""
    plan = AnswerPlan(Task.BINARY, LabelKind.TEXT, "p", "label", classes=2)
    keeping = Keeping(plan, [])
    for answers, score in ((["no"], [0.1]), (["yes"], [0.9]), (["no"], [0.2])):
        one = records(score, first=FIRST)
        words = np.array(answers, object).reshape(-1, 1)
        one.outputs.append(NamedTensor("label", "BYTES", words))
        keeping.take(one, LIVE, ALL)

    blocks, _ = keeping.blocks()

    assert [block.row_count for block in blocks] == [1, 2]
    assert [block.names.of_places for block in blocks] == [{0: "no"}, {0: "no", 1: "yes"}]
