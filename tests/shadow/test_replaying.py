"""Captured rows are run again: what differs is found, on all of them, and judged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.capture.columns import CapturePlan
from server.operator_errors import DataInvalid
from server.release.gate_settings import GateSettings
from server.release.gates import Verdict
from server.release.shadow_rules import NO_RULES, OutputRule, Segment, ShadowRules
from server.shadow.replaying import Replayed, Subject
from server.shadow.runner import Opened
from server.wire.record import BatchRecords
from tests.support import models
from tests.support.shadow import opened, record_of


def subject_of(
    live: Opened, candidate: Opened, rules: ShadowRules = NO_RULES, **plan: Any
) -> Subject:
    runnable = live.runnable
    made = CapturePlan("m", runnable.version, runnable.digest, live.session.signature, **plan)
    return Subject(made, candidate, live, rules)


def run(subject: Subject, records: Sequence[BatchRecords], limit: int = 10**9) -> Replayed:
    subject.check()
    return subject.run(records, limit, lambda _: None)


def classifiers(folder: Path, boundary: float) -> tuple[Opened, Opened]:
    return (
        opened(folder, "1", models.classifier(0.0)),
        opened(folder, "2", models.classifier(boundary)),
    )


def records_of(live: Opened, count: int, rows: int = 128) -> list[BatchRecords]:
    """Return records of rows whose first value is evenly spread from -1 to 1."""
    rng = np.random.default_rng(0)
    return [
        record_of(live, {"x": rng.uniform(-1, 1, (rows, 2)).astype(np.float32)})
        for _ in range(count)
    ]


def test_a_flipped_model_is_found(tmp_path: Path) -> None:
    """A candidate whose boundary is elsewhere: its share of flips, scores, samples, the verdict."""
    live, candidate = classifiers(tmp_path, 0.2)
    subject = subject_of(live, candidate)
    found = run(subject, records_of(live, 20))
    report = subject.judge(found.evidence, GateSettings())

    assert found.rows == found.evidence.pairs.total() == 2560
    assert found.evidence.pairs["label_flip"] == pytest.approx(256, rel=0.2)
    assert found.evidence.noise.total() == 2560
    assert sum(found.evidence.live_scores) == 2560
    assert {sample.kind for sample in found.samples} >= {"label_flip"}
    assert report.verdict is Verdict.FAIL
    assert [one.gate for one in report.failed] == ["disagreement"]


def test_an_equal_model_passes(tmp_path: Path) -> None:
    """Every row is the same, and its speed has been compared."""
    live, candidate = classifiers(tmp_path, 0.0)
    subject = subject_of(live, candidate)
    found = run(subject, records_of(live, 20))
    readings = {one.gate: one for one in subject.judge(found.evidence, GateSettings()).readings}

    assert found.evidence.pairs == {"same": 2560}
    assert found.evidence.timed_batches == 20
    assert readings["disagreement"].verdict is Verdict.PASS
    assert readings["errors"].verdict is Verdict.PASS
    assert not found.samples


def test_the_same_rows_lead_to_the_same_counts(tmp_path: Path) -> None:
    """What is drawn does not change from one replay to the next."""
    live, candidate = classifiers(tmp_path, 0.3)
    records = [record_of(live, {"x": np.eye(4, 2, dtype=np.float32)}, [2, 2])] * 10
    counts = [run(subject_of(live, candidate), records).evidence.pairs for _ in range(2)]

    assert counts[0] == counts[1]


def test_it_stops_at_the_limit(tmp_path: Path) -> None:
    """After the record that reaches it; progress is told."""
    live, candidate = classifiers(tmp_path, 0.0)
    told: list[int] = []
    found = subject_of(live, candidate).run(records_of(live, 5), 200, told.append)

    assert found.rows == 256
    assert told == [128, 256]


@pytest.mark.parametrize("places", [[], [1]])
def test_inputs_that_were_left_out_cannot_be_replayed(tmp_path: Path, places: list[int]) -> None:
    """The feature is named, whole or in part."""
    live, candidate = classifiers(tmp_path, 0.0)
    name = "'age'" if places else "'x'"
    subject = subject_of(live, candidate, features={"x": ["sex", "age"]}, redacted={"x": places})
    with pytest.raises(DataInvalid, match=f"on these rows: {name} was left out") as caught:
        subject.check()

    assert "[capture] redact" in caught.value.fix


def test_inputs_that_are_not_there_are_told(tmp_path: Path) -> None:
    """A candidate that takes more, or another datatype."""
    live = opened(tmp_path, "1", models.identity())
    for content, words in (
        (models.mixed(), "version 2 takes 'name', which the rows do not have"),
        (models.identity("FP64"), "version 2 takes 'x' as FP64, the rows have FP32"),
    ):
        with pytest.raises(DataInvalid, match=words):
            subject_of(live, opened(tmp_path, "2", content)).check()


def test_outputs_that_were_left_out_are_passed_over(tmp_path: Path) -> None:
    """The others are compared; if there are none, that is told."""
    live, candidate = classifiers(tmp_path, 0.5)
    left_out: dict[str, list[int]] = {"label": [], "probabilities": []}
    with pytest.raises(DataInvalid, match="no output can be compared"):
        subject_of(live, candidate, redacted=left_out).check()

    subject = subject_of(live, candidate, redacted={"probabilities": []})
    (record,) = records_of(live, 1)
    found = run(subject, [replace(record, outputs=record.outputs[:1])])
    assert found.evidence.pairs["label_flip"] > 10
    assert not found.evidence.pairs["out_of_tolerance"]


def test_rules_of_the_live_version_hold(tmp_path: Path) -> None:
    """Tolerances and segments are those of a shadow; segments of what was left out are not."""
    live, candidate = (
        opened(tmp_path, "1", models.affine()),
        opened(tmp_path, "2", models.affine(offset=1.5)),
    )
    rules = ShadowRules({"y": OutputRule(atol=1.0)}, (Segment("one", "x", 0, (1,)),))
    record = record_of(live, {"x": np.ones((8, 3), np.float32)})
    found = run(subject_of(live, candidate, rules), [record])

    assert found.evidence.pairs == {"within_tolerance": 8}
    assert found.evidence.segments == {"one=1": {"within_tolerance": 8}}
    other = ShadowRules(rules.outputs, (Segment("gone", "z", 0, (1,)),))
    assert not run(subject_of(live, candidate, other), [record]).evidence.segments
