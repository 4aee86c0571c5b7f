"""A candidate beside the live version, on real models: what is run, compared, counted and shown."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.release.evidence import ShadowEvidence
from server.release.shadow_rules import NO_RULES, Segment, ShadowRules
from server.shadow import pace, runner
from server.shadow.runner import RANGE_PAIRS, CandidateRunner, Opened
from server.tensors import Array
from server.wire.record import OwnId
from tests.support import models
from tests.support.batches import Counted
from tests.support.shadow import candidate_plan, opened, record_of


@pytest.fixture(autouse=True)
def _no_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The live version runs again only where a test wants it."""
    monkeypatch.setattr(runner, "TRIAL_SHARE", 0.0)
    monkeypatch.setattr(runner, "TRIAL_SECONDS", 1e9)


def beside(
    live: Opened, candidate: Opened, rules: ShadowRules = NO_RULES, **plan: Any
) -> CandidateRunner:
    return CandidateRunner(
        candidate_plan(candidate.runnable, **plan), rules, candidate, live, np.random.default_rng(0)
    )


def counted(one: Opened) -> Counted:
    """Have a version's session note the rows of its runs."""
    session = Counted(one.session._session, one.session.signature)
    one.session = session
    return session


def column(*values: float) -> dict[str, Array]:
    """Return rows of two features whose first has the values given."""
    return {"x": np.array([[value, 0.0] for value in values], np.float32)}


def classifiers(folder: Path, boundary: float) -> tuple[Opened, Opened]:
    return (
        opened(folder, "1", models.classifier()),
        opened(folder, "2", models.classifier(boundary)),
    )


def test_the_same_model_agrees(tmp_path: Path) -> None:
    """Every row is the same, and every request is a pair."""
    live = opened(tmp_path, "1", models.classifier())
    evidence, samples = beside(live, live).run(record_of(live, column(1, -1, 2), [1, 2]))

    assert evidence.rows == Counter(same=3)
    assert evidence.pairs == Counter(same=2)
    assert not samples


def test_answers_are_there_if_they_are_wanted(tmp_path: Path) -> None:
    """The record as the candidate answered it, but for the requests that it failed."""
    live = opened(tmp_path, "1", models.gather(8))
    candidate = opened(tmp_path, "2", models.gather(4))
    record = record_of(live, {"index": np.array([0, 1, 7, 3, 6], np.int64)}, [1, 2, 1, 1])
    both, unasked = beside(live, candidate, wants_answers=True), beside(live, candidate)
    both.run(record)
    unasked.run(record)

    assert both.answers is not None
    assert (both.answers.version, both.answers.rows) == ("2", 2)
    assert both.answers.request_rows.tolist() == [1, 0, 1, 0]
    expected = candidate.session.run([np.array([0, 3], np.int64)])[0]
    assert np.array_equal(both.answers.outputs[0].array, expected)
    assert unasked.answers is None


def test_flips_are_counted_by_row_by_request_and_by_segment(tmp_path: Path) -> None:
    """Rows between the two boundaries flip; a request counts once, a pinned one not at all."""
    live, candidate = classifiers(tmp_path, 1.0)
    rules = ShadowRules(segments=(Segment("first", "x", 0, (2,)),))
    record = record_of(live, column(0.5, 0.6, 2, 2), [2, 1, 1], pinned=[2])
    evidence, _ = beside(live, candidate, rules).run(record)

    assert evidence.rows == Counter(label_flip=2, out_of_tolerance=2)
    assert evidence.pairs == Counter(label_flip=1, out_of_tolerance=1)
    assert evidence.segments == {
        "first=2": Counter(out_of_tolerance=1),
        "first=other": Counter(label_flip=1),
    }


def test_a_sample_says_which_request_it_is_of(tmp_path: Path) -> None:
    """Prediction id, row, time, and the three sides, without what is redacted."""
    live, candidate = classifiers(tmp_path, 1.0)
    rules = ShadowRules(features={"x": ("first", "second")}, redacted={"x": (1,)})
    record = record_of(live, column(5, 5, 0.25), [1, 2], own_ids=[OwnId(0, "mine", 0)])
    _, samples = beside(live, candidate, rules).run(record)

    (flip,) = [one for one in samples if one.kind == "label_flip"]
    assert (flip.prediction_id, flip.row, flip.at_seconds) == ("a1-cafe", 1, 1.5)
    assert flip.inputs == {"x": {"first": 0.25, "second": "redacted"}}
    assert (flip.live["label"], flip.candidate["label"]) == ([1], [0])
    own = next(one for one in samples if one.prediction_id == "mine")
    assert own.row == 0


def test_nan_of_the_candidate_is_told(tmp_path: Path) -> None:
    """A model that answers NaN where the live one answers a number."""
    live, candidate = (
        opened(tmp_path, "1", models.identity()),
        opened(tmp_path, "2", models.rooted()),
    )
    rows = {"x": np.array([[1, 1, 1], [-1, 1, 1]], np.float32)}
    evidence, samples = beside(live, candidate).run(record_of(live, rows))

    assert evidence.rows == Counter(same=1, nan=1)
    assert samples[0].candidate["y"][0] == "nan"


def test_a_run_that_fails_costs_only_the_requests_at_fault(tmp_path: Path) -> None:
    """As in a worker: batch-mates of a row that the model cannot take are run again without it."""
    live = opened(tmp_path, "1", models.gather(8))
    candidate = opened(tmp_path, "2", models.gather(4))
    record = record_of(live, {"index": np.array([0, 1, 7, 3, 6], np.int64)}, [1, 2, 1, 1])
    evidence, samples = beside(live, candidate).run(record)

    assert evidence.rows == Counter(same=2, error=3)
    assert evidence.pairs == Counter(same=2, error=2)
    assert samples[0].candidate == {}


def test_a_candidate_that_wants_another_input_fails(tmp_path: Path) -> None:
    """It cannot be run on what the live version was given; that is its error, not ours."""
    live = opened(tmp_path, "1", models.identity("INT64", ("N",)))
    candidate = opened(tmp_path, "2", models.gather())
    evidence, _ = beside(live, candidate).run(record_of(live, {"x": np.array([1], np.int64)}))

    assert evidence.rows == Counter(error=1)


def test_other_outputs_than_the_live_ones_are_of_another_shape(tmp_path: Path) -> None:
    """A candidate whose output has another name or width is told so for every row."""
    live = opened(tmp_path, "1", models.identity())
    candidate = opened(tmp_path, "2", models.identity("FP32", ("N", "M")))
    rows = {"x": np.ones((2, 3), np.float32)}
    wider = record_of(live, rows)
    wider.inputs[0] = record_of(candidate, {"x": np.ones((2, 4), np.float32)}).inputs[0]
    evidence, _ = beside(live, candidate).run(wider)

    assert evidence.rows == Counter(shape=2)


@pytest.mark.parametrize(
    ("live_is_batched", "candidate_is_batched", "expected"),
    [(True, True, [4, 2]), (True, False, [2, 3, 1])],
)
def test_runs_are_as_large_as_both_models_allow(
    live_is_batched: bool, candidate_is_batched: bool, expected: list[int], tmp_path: Path
) -> None:
    """Up to the smaller `max_rows`; one request after the other where rows cannot be joined."""
    live = opened(tmp_path, "1", models.classifier(), is_batched=live_is_batched)
    candidate = opened(
        tmp_path, "2", models.classifier(), is_batched=candidate_is_batched, max_rows=4
    )
    session = counted(candidate)
    evidence, _ = beside(live, candidate).run(record_of(live, column(*range(6)), [2, 3, 0, 1]))

    assert session.rows == expected
    assert evidence.rows.total() == 6
    assert evidence.pairs == Counter(same=3)


def test_beside_predictions_a_candidate_runs_a_little_at_a_time_and_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first as much as a live batch, then as much as fits; where nobody waits, all at once."""
    live = candidate = opened(tmp_path, "1", models.classifier())
    whole = record_of(live, column(*range(6)))
    batches = np.repeat(whole.batches, 3)
    batches["rows"] = batches["requests"] = 2
    record = replace(whole, batches=batches)
    session, runs, rests = counted(candidate), beside(live, candidate), list[float]()
    monkeypatch.setattr("time.sleep", rests.append)
    monkeypatch.setattr(pace, "RUN_SECONDS", 0.0)

    runs.run(record)
    assert session.rows == [2, 2, 2]
    assert len(rests) == 3
    assert min(rests) > 0.0
    monkeypatch.setattr(pace, "RUN_SECONDS", 60.0)
    runs.run(record)
    assert session.rows[3:] == [6]
    assert len(rests) == 3
    monkeypatch.setattr(pace, "RUN_SECONDS", 0.0)
    runs.is_alone = True
    runs.run(record)
    assert len(rests) == 3


def test_a_model_whose_rows_have_no_meaning_is_compared_whole(tmp_path: Path) -> None:
    """What was answered unbatched is one row, whatever its shape."""
    live = opened(tmp_path, "1", models.batch_mean(), is_batched=False)
    record = record_of(live, {"x": np.ones((1, 3), np.float32)})
    evidence, _ = beside(live, live).run(record)

    assert evidence.rows == Counter(same=1)


def trials(
    live: Opened, candidate: Opened, sizes: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> ShadowEvidence:
    """Return the evidence of records of some sizes, each an A/A trial."""
    monkeypatch.setattr(runner, "TRIAL_SHARE", 1.0)
    beside_live = beside(live, candidate)
    total = ShadowEvidence()
    for size in sizes:
        total.add(beside_live.run(record_of(live, column(*range(size))))[0])
    return total


def test_a_trial_runs_both_on_the_same_rows_in_other_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two halves each; the live version disagrees with itself where rows depend on their batch."""
    live, candidate = classifiers(tmp_path, 0.0)
    sessions = [counted(one) for one in (live, candidate)]
    evidence = trials(live, candidate, [7, 1], monkeypatch)

    assert sessions[0].rows == [7, 3, 4, 1, 1]
    assert sessions[1].rows == [3, 4, 1]
    assert evidence.noise == Counter(same=8)
    assert (evidence.timed_batches, evidence.timed_rows) == (2, 8)
    assert evidence.candidate_cpu_seconds > 0
    assert evidence.live_cpu_seconds > 0


def test_noise_is_what_the_live_version_says_otherwise_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose rows depend on their batch-mates disagrees with itself."""
    live = opened(tmp_path, "1", models.batch_mean())
    monkeypatch.setattr(runner, "TRIAL_SHARE", 1.0)
    rows = {"x": np.arange(12, dtype=np.float32).reshape(4, 3)}
    evidence, _ = beside(live, live).run(record_of(live, rows))

    assert evidence.noise == Counter(out_of_tolerance=4)


def test_a_trial_is_due_after_a_while_however_little_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rarely used model is measured too."""
    live = opened(tmp_path, "1", models.classifier())
    monkeypatch.setattr(runner, "TRIAL_SECONDS", 0.0)
    evidence, _ = beside(live, live).run(record_of(live, column(1)))

    assert evidence.timed_batches == 1


def test_scores_are_counted_once_their_range_is_known(tmp_path: Path) -> None:
    """The first pairs wait until there are enough to tell the range; then none is missing."""
    live, candidate = classifiers(tmp_path, 1.0)
    both = beside(live, candidate)
    first, _ = both.run(record_of(live, column(*np.linspace(-9, 9, RANGE_PAIRS - 1))))
    second, _ = both.run(record_of(live, column(0.0, 0.1)))

    assert not any(first.live_scores)
    assert (second.score_low, second.score_high) == (0.0, 1.0)
    assert sum(second.live_scores) == sum(second.candidate_scores) == RANGE_PAIRS + 1
    assert second.live_scores != second.candidate_scores
    assert sum(first.score_differences) == RANGE_PAIRS - 1
    assert second.score_difference > 0.0


def test_a_range_that_is_known_is_used_from_the_start(tmp_path: Path) -> None:
    """After a restart, counts must go on between the same edges."""
    live, candidate = classifiers(tmp_path, 1.0)
    evidence, _ = beside(live, candidate, score_range=(-1.0, 3.0)).run(record_of(live, column(0)))

    assert (evidence.score_low, evidence.score_high) == (-1.0, 3.0)
    assert evidence.live_scores[75] == 1
